/* http_serve: see http_serve.h. */
#include "sidecar/http_serve.h"

#include "admin/advice.h"
#include "sidecar/child.h"
#include "sidecar/crossing.h"
#include "sidecar/metrics.h"
#include "sidecar/stats.h"
#include <sodium.h>
#include <string.h>

#define TEXT "text/plain; charset=utf-8"
#define JSON "application/json"
#define PROBLEM "application/problem+json"

/* ---- answers ---- */

static enum MHD_Result send_answer(const struct jt_http_door *d,
				   struct MHD_Connection *to,
				   const struct jt_http_answer *a,
				   const void *body, size_t bytes)
{
	static char nothing[1];
	struct MHD_Response *r;
	enum MHD_Result rc;

	if (body)
		r = MHD_create_response_from_buffer(
			bytes, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
	else
		r = MHD_create_response_from_buffer(0, nothing,
						    MHD_RESPMEM_PERSISTENT);
	if (!r)
		return MHD_NO;
	for (uint32_t i = 0; i < a->n_fields; i++) {
		const struct jt_http_pair *f = &a->fields[i];

		/* the library takes no empty value; a blank is none */
		if (MHD_add_response_header(r, f->name,
					    f->value[0] ? f->value : " ") !=
		    MHD_YES) {
			MHD_destroy_response(r);
			return MHD_NO;
		}
	}
	/* the next daemon serves: this connection goes there */
	if (d->crossing && jt_crossing_leaves(d->crossing))
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
	rc = MHD_queue_response(to, a->status, r);
	MHD_destroy_response(r);
	return rc;
}

static enum MHD_Result send_metrics(struct jt_http_door *d,
				    struct MHD_Connection *to)
{
	static char text[JT_METRICS_MAX];
	size_t n = jt_metrics_write(d->maps, d->now, text, sizeof(text));

	jt_http_start(&d->answer, MHD_HTTP_OK);
	jt_http_add(&d->answer, "Content-Type", JT_METRICS_TYPE,
		    sizeof(JT_METRICS_TYPE) - 1);
	return send_answer(d, to, &d->answer, text, n);
}

static enum MHD_Result send_text(struct jt_http_door *d,
				 struct MHD_Connection *to, unsigned status,
				 const char *text)
{
	jt_http_start(&d->answer, status);
	jt_http_add(&d->answer, "Content-Type", TEXT, sizeof(TEXT) - 1);
	if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
		jt_http_add(&d->answer, "Retry-After", "1", 1);
	return send_answer(d, to, &d->answer, text, strlen(text));
}

/* Behind the fields that stand in the answer already. TEXT is freed. */
static enum MHD_Result send_json(struct jt_http_door *d,
				 struct MHD_Connection *to, const char *type,
				 char *text)
{
	enum MHD_Result rc;

	if (!text)
		return MHD_NO;
	jt_http_add(&d->answer, "Content-Type", type, strlen(type));
	rc = send_answer(d, to, &d->answer, text, strlen(text));
	jt_http_text_free(text);
	return rc;
}

/*
 * What is no verdict. Proxies get none of the body: nginx would not keep the
 * connection.
 */
static enum MHD_Result send_problem(struct jt_http_door *d,
				    const struct jt_http_request *q,
				    struct MHD_Connection *to, unsigned status,
				    const char *code, const char *detail)
{
	const char *allow = jt_http_allow(q->route);

	jt_http_start(&d->answer, status);
	if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
		jt_http_add(&d->answer, "Retry-After", "1", 1);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		jt_http_add(&d->answer, "Allow", allow, strlen(allow));
	jt_count(&d->desk->errors, 1);
	if (q->route == JT_HTTP_AUTH)
		return send_answer(d, to, &d->answer, NULL, 0);
	return send_json(d, to, PROBLEM,
			 jt_http_write_problem(status, code, detail));
}

/* ---- verdicts ---- */

static bool is_loading(const struct jt_http_door *d)
{
	/* pairs with the keeper's store when the journal is replayed */
	return jt_load_acquire(&d->maps->identity->state) !=
	       JT_IDENTITY_SERVING;
}

static void tell(struct jt_http_door *d, const struct jt_http_conn *c,
		 const struct jt_tally *tally, const struct jt_ask *asks,
		 const struct jt_verdict *verdicts, uint32_t n)
{
	uint64_t admitted = tally->words[JT_VALID];
	struct jt_peer_share had = {
		.admitted = admitted,
		.refused = n - admitted - tally->words[JT_LOADING],
	};

	jt_stats_tell(d->desk, tally, n);
	jt_child_took(d->desk, n, jt_child_boot_ns() - d->now.boot_ns);
	jt_peers_tell(&d->peers, &c->caller, &had, d->now);
	if (d->refusals && had.refused)
		jt_refusals_take(d->refusals, tally, asks, verdicts,
				 d->now.boot_ns);
}

/* Nothing of a token that its caller may not see. */
static void hide(const struct jt_rule *rule, struct jt_verdict *verdicts,
		 uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!rule->see_owner)
			verdicts[i].owner.bytes = 0;
		if (!rule->see_scopes)
			verdicts[i].scopes = NULL;
	}
}

/*
 * The number in force is read before the verdicts: they may know more than it
 * says, never less; pairs with the store in apply_chunk().
 */
static uint64_t verify(struct jt_http_door *d, struct jt_http_conn *c,
		       struct jt_ask *asks, struct jt_verdict *verdicts,
		       uint32_t n)
{
	uint64_t applied = jt_load_acquire(&d->maps->identity->applied);
	const struct jt_rule *rule = jt_peers_rule(&d->peers, &c->caller);
	struct jt_tally tally = {0};

	for (uint32_t i = 0; i < n; i++) {
		asks[i].by = jt_caller_by(&c->caller);
		jt_peers_confine(&asks[i], rule);
	}
	jt_verify(d->maps, d->memo, asks, verdicts, n, d->now, &tally);
	tell(d, c, &tally, asks, verdicts, n);
	hide(rule, verdicts, n);
	return applied;
}

/* The verifier's answer, or the one that stands without asking it. */
static void decide(struct jt_http_door *d, struct jt_http_conn *c,
		   const struct jt_policy *policy, struct jt_ask *ask,
		   struct jt_verdict *v)
{
	const struct jt_http_request *q = &c->request;
	enum jt_http_credential got =
		jt_http_token(q, policy->credentials, d->scratch, &ask->token);
	struct jt_tally tally = {.words[JT_MALFORMED] = 1};

	if ((got == JT_HTTP_ONE && !q->chunked) || is_loading(d)) {
		verify(d, c, ask, v, 1);
		return;
	}
	*v = (struct jt_verdict){
		.word = JT_MALFORMED, .limit = -1, .remaining = -1};
	ask->by = jt_caller_by(&c->caller);
	tell(d, c, &tally, ask, v, 1);
}

static enum MHD_Result answer_auth(struct jt_http_door *d,
				   struct jt_http_conn *c,
				   struct MHD_Connection *to)
{
	const struct jt_http_request *q = &c->request;
	const struct jt_policy *policy =
		jt_settings_policy(&d->peers.settings,
				   (const char *)q->policy.at, q->policy.bytes);
	const struct jt_http_wants *wants;
	struct jt_told told = {0};
	struct jt_verdict verdict;
	struct jt_ask ask;

	if (!policy)
		return send_problem(d, q, to, MHD_HTTP_NOT_FOUND, NULL, NULL);
	wants = &d->wants[policy - d->peers.settings.policies];
	ask = (struct jt_ask){
		.env = policy->env,
		.n_scopes = wants->n,
		.scopes = wants->scopes,
		.cost = policy->cost,
		.told = &told,
	};
	decide(d, c, policy, &ask, &verdict);
	jt_http_answer(&d->answer, &(struct jt_http_case){.maps = d->maps,
							  .policy = policy,
							  .ask = &ask,
							  .verdict = &verdict,
							  .now = d->now});
	if (q->n_authorization && policy->credentials & JT_CREDENTIAL_BASIC)
		sodium_memzero(d->scratch, q->authorization.bytes);
	return send_answer(d, to, &d->answer, NULL, 0);
}

/* ---- bodies ---- */

static enum MHD_Result refuse_body(struct jt_http_door *d,
				   const struct jt_http_request *q,
				   struct MHD_Connection *to, int e)
{
	if (q->route != JT_HTTP_BATCH || e <= JT_HTTP_E_BATCH)
		return send_problem(d, q, to, MHD_HTTP_BAD_REQUEST,
				    "BAD_REQUEST", jt_http_error(e));
	jt_count(&d->desk->errors, 1);
	jt_http_start(&d->answer, MHD_HTTP_BAD_REQUEST);
	return send_json(
		d, to, PROBLEM,
		jt_http_write_bad_element(jt_http_error(e), d->query->bad));
}

static enum MHD_Result answer_query(struct jt_http_door *d,
				    struct jt_http_conn *c,
				    struct MHD_Connection *to)
{
	bool batch = c->request.route == JT_HTTP_BATCH;
	struct jt_http_query *q = d->query;
	struct jt_verdict *v = q->verdicts;
	uint64_t applied;
	int e = jt_http_read(q, c->body ? c->body : "", c->body_bytes, batch);
	bool valid;

	if (e)
		return refuse_body(d, &c->request, to, e);
	applied = verify(d, c, q->asks, v, q->n);
	if (batch) {
		jt_http_start(&d->answer, MHD_HTTP_OK);
		return send_json(
			d, to, JSON,
			jt_http_write_batch(d->maps, v, q->n, applied));
	}
	valid = v->word == JT_VALID;
	jt_http_start(&d->answer, jt_word_status(v->word));
	jt_http_explain(&d->answer, q->asks, v, d->now);
	return send_json(d, to, valid ? JSON : PROBLEM,
			 jt_http_write_verdict(d->maps, v, applied));
}

static enum MHD_Result answer_introspection(struct jt_http_door *d,
					    struct jt_http_conn *c,
					    struct MHD_Connection *to)
{
	struct jt_ask ask = {.cost = 1};
	struct jt_verdict verdict;
	int e = c->body ? jt_http_read_form(c->body, c->body_bytes, &ask.token)
			: JT_HTTP_E_FORM;

	if (e)
		return refuse_body(d, &c->request, to, e);
	verify(d, c, &ask, &verdict, 1);
	jt_http_start(&d->answer, MHD_HTTP_OK);
	jt_http_add(&d->answer, "Cache-Control", "no-store", 8);
	return send_json(
		d, to, JSON,
		jt_http_write_introspection(d->maps, &verdict, d->now));
}

static enum MHD_Result answer_body(struct jt_http_door *d,
				   struct jt_http_conn *c,
				   struct MHD_Connection *to)
{
	const struct jt_http_request *q = &c->request;
	enum MHD_Result rc;

	if (c->too_large)
		return send_problem(d, q, to, MHD_HTTP_CONTENT_TOO_LARGE,
				    "TOO_LARGE",
				    "the body is larger than is read here");
	if (q->unclear)
		return send_problem(d, q, to, MHD_HTTP_BAD_REQUEST,
				    "BAD_REQUEST",
				    "where the body ends is said twice");
	if (q->n_authorization > 1)
		return send_problem(d, q, to, MHD_HTTP_BAD_REQUEST,
				    "BAD_REQUEST",
				    "Authorization stands there twice");
	if (is_loading(d))
		return send_problem(d, q, to, MHD_HTTP_SERVICE_UNAVAILABLE,
				    "LOADING", jt_advice("LOADING", ""));
	if (q->route == JT_HTTP_INTROSPECT)
		return answer_introspection(d, c, to);
	rc = answer_query(d, c, to);
	jt_http_query_free(d->query);
	return rc;
}

/* ---- routes ---- */

size_t jt_http_body_max(enum jt_http_route route)
{
	switch (route) {
	case JT_HTTP_VERIFY:
	case JT_HTTP_INTROSPECT:
		return JT_HTTP_BODY_MAX;
	case JT_HTTP_BATCH:
		return JT_HTTP_BATCH_BODY_MAX;
	default:
		return 0;
	}
}

/* Whoever may ask nothing, or not now. */
static enum MHD_Result shut_out(struct jt_http_door *d, struct jt_http_conn *c,
				struct MHD_Connection *to, bool for_good)
{
	struct jt_peer_share had = {.busy = !for_good};

	jt_peers_tell(&d->peers, &c->caller, &had, d->now);
	return for_good ? send_problem(d, &c->request, to, MHD_HTTP_FORBIDDEN,
				       "NOPERM",
				       "this user may not ask about tokens; "
				       "see [peer] in the settings")
			: send_problem(d, &c->request, to,
				       MHD_HTTP_SERVICE_UNAVAILABLE, "BUSY",
				       "too many refused tokens from this "
				       "user; try again");
}

static enum MHD_Result answer_token(struct jt_http_door *d,
				    struct jt_http_conn *c,
				    struct MHD_Connection *to)
{
	const struct jt_rule *rule = jt_peers_rule(&d->peers, &c->caller);

	if (!rule->verify)
		return shut_out(d, c, to, true);
	if (rule->refusals_per_s &&
	    jt_peers_spent(&d->peers, &c->caller, d->now))
		return shut_out(d, c, to, false);
	return c->request.route == JT_HTTP_AUTH ? answer_auth(d, c, to)
						: answer_body(d, c, to);
}

static enum MHD_Result answer(struct jt_http_door *d, struct jt_http_conn *c,
			      struct MHD_Connection *to)
{
	switch (c->request.route) {
	case JT_HTTP_AUTH:
	case JT_HTTP_VERIFY:
	case JT_HTTP_BATCH:
	case JT_HTTP_INTROSPECT:
		return answer_token(d, c, to);
	case JT_HTTP_METRICS:
		return send_metrics(d, to);
	case JT_HTTP_LIVEZ:
		return send_text(d, to, MHD_HTTP_OK, "alive\n");
	case JT_HTTP_READYZ:
		if (is_loading(d))
			return send_text(d, to, MHD_HTTP_SERVICE_UNAVAILABLE,
					 "loading\n");
		return send_text(d, to, MHD_HTTP_OK, "ready\n");
	case JT_HTTP_VERSION:
		return send_text(d, to, MHD_HTTP_OK, "jetond " JT_VERSION "\n");
	case JT_HTTP_NOWHERE:
		break;
	}
	return send_problem(d, &c->request, to, MHD_HTTP_NOT_FOUND, "NOT_FOUND",
			    "there is nothing at that path");
}

enum MHD_Result jt_http_serve(struct jt_http_door *door,
			      struct jt_http_conn *conn,
			      struct MHD_Connection *to)
{
	const struct jt_http_request *q = &conn->request;

	/* the request is here, and nothing of a table is in hand */
	if (door->crossing)
		jt_crossing_hurry(door->crossing);
	if (conn->busy)
		return send_problem(door, q, to, MHD_HTTP_SERVICE_UNAVAILABLE,
				    "BUSY", "too many connections; try again");
	if (q->head_bytes > JT_HTTP_HEAD_MAX)
		return send_problem(
			door, q, to, MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE,
			"TOO_LARGE", "the header is larger than is read here");
	if (q->wrong_method)
		return send_problem(door, q, to, MHD_HTTP_METHOD_NOT_ALLOWED,
				    "METHOD_NOT_ALLOWED",
				    "another method is wanted, see Allow");
	return answer(door, conn, to);
}
