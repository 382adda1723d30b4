/*
 * command_why: WHY id [ENV e] [SCOPE s]... [COST n].
 *
 *     *3 | $N WORD | $N notes | *K of *3 | $N STEP | :0 or :1 | $N detail
 *
 * A step is named by the word with which VERIFY would refuse there, so they
 * come in the order in which it decides; an id that is not known has only the
 * first. OLD_VALUE, last and only during a rotation, decides nothing. Details
 * are for people; a program looks at words and numbers.
 */
#include "sidecar/command_table.h"

#include "admin/expiry.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DETAIL_MAX (JT_ASK_SCOPES_MAX * (JT_ASK_SCOPE_BYTES + 1) + 64)

struct answer {
	struct jt_out *out;
	const struct jt_ask *ask;
	const struct jt_trace *trace;
};

static void put_step(const struct answer *a, const char *name, bool ok,
		     const char *detail)
{
	jt_out_array(a->out, 3);
	jt_out_text(a->out, name);
	jt_out_integer(a->out, ok);
	jt_out_text(a->out, detail);
}

static void put_word(const struct answer *a, enum jt_word word,
		     const char *detail)
{
	put_step(a, jt_word_name(word),
		 !(a->trace->failed & JT_TRACE_BIT(word)), detail);
}

static void env_text(uint64_t word, char out[9])
{
	memcpy(out, &word, sizeof(word));
	out[8] = '\0';
}

static bool is_open(const struct jt_ask *ask, uint64_t env)
{
	for (uint32_t i = 0; i < ask->n_envs; i++)
		if (ask->envs[i] == env)
			return true;
	return !ask->envs;
}

static void put_env(const struct answer *a)
{
	const struct jt_trace *t = a->trace;
	char env[9], asked[9], served[9], detail[DETAIL_MAX];
	int n;

	env_text(t->env, env);
	env_text(a->ask->env, asked);
	env_text(t->served, served);
	n = snprintf(detail, sizeof(detail), "%s", *env ? env : "another");
	if (a->ask->env_unknown)
		n += snprintf(detail + n, sizeof(detail) - (size_t)n,
			      ", asked for what is no environment");
	else if (*asked && a->ask->env != t->env)
		n += snprintf(detail + n, sizeof(detail) - (size_t)n,
			      ", asked for %s", asked);
	if (*served && t->served != t->env)
		n += snprintf(detail + n, sizeof(detail) - (size_t)n,
			      ", served here is %s", served);
	if (!is_open(a->ask, t->env))
		snprintf(detail + n, sizeof(detail) - (size_t)n,
			 ", not open to this user");
	put_word(a, JT_WRONG_ENVIRONMENT, detail);
}

/* The scopes that are missing, else those that were asked for. */
static void put_scopes(const struct answer *a)
{
	uint32_t lacking = a->trace->lacking;
	char detail[DETAIL_MAX] = "";
	size_t n = 0;

	for (uint32_t i = 0; i < a->ask->n_scopes; i++)
		if (!lacking || lacking >> i & 1)
			n += (size_t)snprintf(
				detail + n, sizeof(detail) - n, "%s%.*s",
				n ? " " : "", (int)a->ask->scopes[i].bytes,
				(const char *)a->ask->scopes[i].at);
	put_word(a, JT_INSUFFICIENT_SCOPE, detail);
}

/* "250 ms", "31 s" */
static void span_text(uint64_t ms, char out[32])
{
	if (ms < 1000)
		snprintf(out, 32, "%" PRIu64 " ms", ms);
	else
		snprintf(out, 32, "%" PRIu64 " s", ms / 1000 + !!(ms % 1000));
}

static void put_limit(const struct answer *a, enum jt_word word, bool any,
		      const struct jt_meter_state *s)
{
	char detail[DETAIL_MAX] = "no limit", full[32], retry[32];
	const char *also = "";

	span_text(s->reset_ms, full);
	span_text((uint64_t)s->retry_after_ms, retry);
	if (s->retry_after_ms > 0)
		also = ", retry after ";
	else if (s->retry_after_ms < 0)
		also = ", never for so many";
	if (any)
		snprintf(detail, sizeof(detail),
			 "%" PRIu64 " of %" PRIu64 " left, all again in %s%s%s",
			 s->remaining, s->limit, full, also,
			 s->retry_after_ms > 0 ? retry : "");
	put_word(a, word, detail);
}

static void put_old(const struct answer *a)
{
	char until[JT_TIME_TEXT];

	if (!a->trace->old_until_s)
		return;
	jt_time_format(a->trace->old_until_s, until);
	put_step(a, "OLD_VALUE", a->trace->old_works, until);
}

static void put_steps(const struct answer *a)
{
	const struct jt_trace *t = a->trace;
	char expires[JT_TIME_TEXT];

	if (t->word == JT_UNKNOWN) {
		jt_out_array(a->out, 1);
		put_word(a, JT_UNKNOWN, "");
		return;
	}
	jt_out_array(a->out, 8 + !!t->old_until_s);
	put_word(a, JT_UNKNOWN, "");
	put_env(a);
	put_word(a, JT_REVOKED, "");
	put_word(a, JT_SUSPENDED, "");
	jt_time_format(t->expires_s, expires);
	put_word(a, JT_EXPIRED, expires);
	put_scopes(a);
	put_limit(a, JT_QUOTA_EXCEEDED, t->bounds.quota != 0, &t->quota);
	put_limit(a, JT_RATE_LIMITED, t->bounds.interval_ns != 0, &t->rate);
	put_old(a);
}

/* Those that VERIFY gives with this word. */
static void put_notes(const struct answer *a)
{
	const struct jt_trace *t = a->trace;
	const struct jt_bytes *scope;
	char notes[32 + JT_ASK_SCOPE_BYTES] = "";

	if (t->notes & JT_NOTE_EXPIRING)
		strcat(notes, "EXPIRING,");
	if (t->notes & JT_NOTE_NEVER &&
	    (t->word == JT_QUOTA_EXCEEDED || t->word == JT_RATE_LIMITED))
		strcat(notes, "NEVER,");
	if (t->word == JT_INSUFFICIENT_SCOPE) {
		scope = &a->ask->scopes[__builtin_ctz(t->lacking)];
		strcat(notes, "SCOPE:");
		strncat(notes, (const char *)scope->at, scope->bytes);
		strcat(notes, ",");
	}
	notes[strlen(notes) - !!*notes] = '\0';
	jt_out_text(a->out, notes);
}

const char *jt_run_why(const struct jt_call *call)
{
	struct jt_bytes scopes[JT_ASK_SCOPES_MAX];
	const struct jt_bytes *ids;
	struct jt_trace trace;
	struct answer a = {.out = call->out, .trace = &trace};
	struct jt_ask ask;
	size_t n;
	const struct jt_rule *rule = call->service->rule;
	int e;

	if (!rule->verify)
		return JT_ERROR_NOPERM;
	e = jt_command_ask(JT_COMMAND_VERIFY, call->args, call->n_args, scopes,
			   &ask, &ids, &n);
	if (e)
		return jt_command_ask_error(e);
	jt_peers_confine(&ask, rule);
	if (ids[0].bytes != JT_PUBLIC_BYTES ||
	    !jt_public_ok((const char *)ids[0].at, NULL, NULL))
		return "ERR WHY takes the id of a token, the first 24 "
		       "characters of its value";
	if (!call->service->why(call->service->ctx, (const char *)ids[0].at,
				&ask, &trace))
		return JT_ERROR_LOADING;
	a.ask = &ask;
	jt_out_array(call->out, 3);
	jt_out_text(call->out, jt_word_name(trace.word));
	put_notes(&a);
	put_steps(&a);
	return NULL;
}
