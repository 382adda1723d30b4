/*
 * jeton why: how the sidecar decides about a token, in plain sentences.
 *
 * Asked by id, so nobody needs the value for it, and nothing is spent. Without
 * a sidecar the journal tells at least status and expiry.
 */
#include "admin/advice.h"
#include "admin/change.h"
#include "admin/cmd.h"
#include "admin/door.h"
#include "admin/expiry.h"
#include "admin/lookup.h"

#include <errno.h>
#include <string.h>

#define INDENT 7 /* of a sentence */
#define SENTENCE_MAX 2048
#define ARGS_MAX (2 + 2 + 2 * JT_SCOPES_GIVEN_MAX + 2)

/* Sentences: % stands for the detail; one without it is for no detail. */
static const struct {
	const char *step, *yes, *no, *bare;
} sentences[] = {
	{"UNKNOWN", "The sidecar knows this id.",
	 "The sidecar knows no such id.", NULL},
	{"WRONG_ENVIRONMENT", "Its environment is %.", "Its environment is %.",
	 NULL},
	{"REVOKED", "It was not revoked.", "It was revoked, for good.", NULL},
	{"SUSPENDED", "It is not suspended.", "It is suspended.", NULL},
	{"EXPIRED", "It works until %.", "It expired at %.", NULL},
	{"INSUFFICIENT_SCOPE", "It has the scopes asked for: %.",
	 "It lacks scopes: %.", "No scope was asked for."},
	{"QUOTA_EXCEEDED", "Its quota allows it: %.",
	 "Its quota is used up: %.", "It has no quota."},
	{"RATE_LIMITED", "Its rate allows it: %.", "Its rate refuses: %.",
	 "It has no rate."},
	{"OLD_VALUE", "The value before its rotation works, too, until %.",
	 "The value before its rotation does not work; its deadline: %.", NULL},
};

static const char *sentence_of(const char *step, bool ok, const char *detail)
{
	for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++) {
		if (strcmp(sentences[i].step, step) != 0)
			continue;
		if (sentences[i].bare &&
		    (!*detail || strcmp(detail, "no limit") == 0))
			return sentences[i].bare;
		return ok ? sentences[i].yes : sentences[i].no;
	}
	return "%"; /* of a newer sidecar */
}

static void put_sentence(const char *step, bool ok, const char *detail,
			 size_t width)
{
	const char *sentence = sentence_of(step, ok, detail);
	const char *hole = strchrnul(sentence, '%');
	char text[SENTENCE_MAX];
	size_t used = INDENT;

	snprintf(text, sizeof(text), "%s%s%.*s%s%s",
		 sentence[0] == '%' ? step : "", sentence[0] == '%' ? ": " : "",
		 (int)(hole - sentence), sentence, *hole ? detail : "",
		 *hole ? hole + 1 : "");
	printf("  %s  ", ok ? "yes" : "NO ");
	jt_put_wrapped(stdout, text, INDENT, width, &used);
	putchar('\n');
}

/* ---- the reply: see sidecar/command_why.c ---- */

static bool is_step(const redisReply *r)
{
	return r->type == REDIS_REPLY_ARRAY && r->elements == 3 &&
	       r->element[0]->type == REDIS_REPLY_STRING &&
	       r->element[1]->type == REDIS_REPLY_INTEGER &&
	       r->element[2]->type == REDIS_REPLY_STRING;
}

static bool is_trace(const redisReply *r)
{
	if (r->type != REDIS_REPLY_ARRAY || r->elements != 3 ||
	    r->element[0]->type != REDIS_REPLY_STRING ||
	    r->element[1]->type != REDIS_REPLY_STRING ||
	    r->element[2]->type != REDIS_REPLY_ARRAY)
		return false;
	for (size_t i = 0; i < r->element[2]->elements; i++)
		if (!is_step(r->element[2]->element[i]))
			return false;
	return true;
}

struct trace {
	const char *id, *word, *notes;
	redisReply **steps;
	size_t n_steps;
	char advice[JT_ADVICE_TEXT];
};

static void put_table(const struct trace *t)
{
	static const char to_do[] = "What to do: ";
	size_t width = jt_terminal_width(), used = strlen(to_do);

	for (size_t i = 0; i < t->n_steps; i++) {
		redisReply **step = t->steps[i]->element;

		put_sentence(step[0]->str, step[1]->integer != 0, step[2]->str,
			     width);
	}
	fputs("Verdict: ", stdout);
	jt_put_text(stdout, JT_STYLE_TABLE, t->word, SIZE_MAX);
	if (*t->notes) {
		fputs(" (", stdout);
		jt_put_text(stdout, JT_STYLE_TABLE, t->notes, SIZE_MAX);
		putchar(')');
	}
	putchar('\n');
	if (!*t->advice)
		return;
	fputs(to_do, stdout);
	jt_put_wrapped(stdout, t->advice, used, width, &used);
	putchar('\n');
}

static void put_lines(const struct trace *t)
{
	for (size_t i = 0; i < t->n_steps; i++) {
		redisReply **step = t->steps[i]->element;

		jt_put_text(stdout, JT_STYLE_TSV, step[0]->str, SIZE_MAX);
		printf("\t%s\t", step[1]->integer ? "yes" : "no");
		jt_put_text(stdout, JT_STYLE_TSV, step[2]->str, SIZE_MAX);
		putchar('\n');
	}
	fputs("verdict\t", stdout);
	jt_put_text(stdout, JT_STYLE_TSV, t->word, SIZE_MAX);
	fputs("\t", stdout);
	jt_put_text(stdout, JT_STYLE_TSV, t->notes, SIZE_MAX);
	printf("\nadvice\t\t%s\n", t->advice);
}

static void put_json(const struct trace *t)
{
	json_t *o = json_object(), *steps = json_array();

	for (size_t i = 0; i < t->n_steps; i++) {
		redisReply **step = t->steps[i]->element;

		json_array_append_new(
			steps, json_pack("{so sb so}", "step",
					 jt_json_text(step[0]->str, SIZE_MAX),
					 "ok", step[1]->integer != 0, "detail",
					 jt_json_text(step[2]->str, SIZE_MAX)));
	}
	json_object_set_new(o, "id", json_string(t->id));
	json_object_set_new(o, "verdict", jt_json_text(t->word, SIZE_MAX));
	json_object_set_new(o, "notes", jt_json_text(t->notes, SIZE_MAX));
	json_object_set_new(o, "steps", steps);
	json_object_set_new(o, "advice", json_string(t->advice));
	jt_put_json(stdout, o);
}

static int judge(const struct jt_cmd *cmd, const redisReply *r)
{
	struct trace t = {.id = cmd->operands[0]};
	enum jt_style style = jt_style_of(cmd->json);

	if (r->type == REDIS_REPLY_ERROR)
		return jt_door_refused(r->str, "why");
	if (!is_trace(r))
		return jt_fail(JT_EXIT_SIDECAR,
			       "what listens on the socket is no jeton of this "
			       "version; see `jeton status`");
	t.word = r->element[0]->str;
	t.notes = r->element[1]->str;
	t.steps = r->element[2]->element;
	t.n_steps = r->element[2]->elements;
	jt_advice_admin(t.word, t.notes, t.id, t.advice);
	if (style == JT_STYLE_TABLE)
		put_table(&t);
	else if (style == JT_STYLE_TSV)
		put_lines(&t);
	else
		put_json(&t);
	return strcmp(t.word, "VALID") == 0 ? 0 : JT_EXIT_NO;
}

static redisReply *ask(redisContext *ctx, const struct jt_cmd *cmd,
		       char why[JT_WHY_MAX])
{
	const char *argv[ARGS_MAX] = {"WHY", cmd->operands[0]};
	const struct jt_args *a = &cmd->args;
	redisReply *reply;
	int n = 2;

	if (a->env) {
		argv[n++] = "ENV";
		argv[n++] = a->env;
	}
	for (size_t i = 0; i < a->n_scopes; i++) {
		argv[n++] = "SCOPE";
		argv[n++] = a->scopes[i];
	}
	if (a->cost) {
		argv[n++] = "COST";
		argv[n++] = a->cost;
	}
	reply = redisCommandArgv(ctx, n, argv, NULL);
	if (!reply)
		snprintf(why, JT_WHY_MAX, "no reply: %s", ctx->errstr);
	return reply;
}

/* ---- without a sidecar ---- */

/* Status and expiry, as far as the journal can tell; always exit 3. */
static int from_journal(const struct jt_cmd *cmd, const char *why)
{
	uint64_t now_s = jt_io_os.wall_ns() / 1000000000u;
	static struct jt_found f;
	struct jt_fault fault = {0};
	char expires[JT_TIME_TEXT];
	struct jt_journal j;
	struct jt_sheet s;
	int e = jt_journal_open(&j, &jt_io_os, cmd->paths.data, &fault);

	if (e == 0) {
		e = jt_lookup(&j, NULL, cmd->operands[0], &f, &fault);
		jt_journal_close(&j);
	}
	if (e)
		jt_note("%s", fault.line);
	else if (!f.exists)
		jt_no_such_id(cmd->operands[0]);
	if (e || !f.exists)
		return jt_door_closed(why);
	jt_time_format(f.card.expires_s, expires);
	jt_sheet_begin(&s, cmd->json);
	jt_sheet_text(&s, "id", "Id", cmd->operands[0], NULL);
	jt_sheet_text(&s, "status", "Status", jt_card_status(&f.card, now_s),
		      NULL);
	jt_sheet_text(&s, "expires", "Expires", expires, NULL);
	jt_sheet_end(&s);
	return jt_fail(JT_EXIT_SIDECAR,
		       "the sidecar cannot be reached (%s), so this is what "
		       "the journal says alone; limits, scopes and environment "
		       "are decided by the sidecar: start jetond, or check "
		       "--run",
		       why);
}

int jt_cmd_why(const struct jt_cmd *cmd)
{
	const char *cost = cmd->args.cost;
	char why[JT_WHY_MAX] = "";
	redisReply *reply = NULL;
	redisContext *ctx;
	int e = jt_id_check(cmd->operands[0]);

	if (e)
		return e;
	if (cost &&
	    (strspn(cost, "0123456789") != strlen(cost) || strlen(cost) > 18))
		return jt_fail(JT_EXIT_USAGE, "--cost is not a whole number");
	ctx = jt_door_open(&cmd->paths, why);
	if (ctx)
		reply = ask(ctx, cmd, why);
	e = reply ? judge(cmd, reply) : from_journal(cmd, why);
	if (reply)
		freeReplyObject(reply);
	if (ctx)
		redisFree(ctx);
	return e;
}
