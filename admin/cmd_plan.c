/*
 * jeton plan set, list, rm: limits under a name, for many tokens.
 *
 * A plan that changes, changes for every token that has it, with its next
 * request; what a token has of its own stays in front.
 */
#include "admin/amend.h"

#include <inttypes.h>
#include <string.h>

#define LIMITS_AT (JT_PLAN_MAX + 12) /* the column where limits begin */

static int check_name(const struct jt_cmd *cmd)
{
	if (jt_plan_name_ok(cmd->operands[0]))
		return 0;
	return jt_fail(JT_EXIT_USAGE,
		       "a plan's name is 1 to %d of a-z, 0-9, `.`, `_` and `-`",
		       JT_PLAN_MAX);
}

/* Tokens that have the plan, and its pairs, as the keeper or a fold say. */
static int count_users(struct jt_change *c, struct jt_numbers *n, uint16_t plan,
		       uint64_t *tokensp, uint64_t *pairsp)
{
	int e;

	*tokensp = *pairsp = 0;
	if (c->sidecar == 0) {
		e = jt_control_users(&c->control, c->journal.committed.number,
				     plan, tokensp, pairsp);
		return e ? jt_fail(JT_EXIT_SIDECAR,
				   "the sidecar does not answer (%s), nothing "
				   "was changed; see `jeton status`",
				   jt_control_reason(&c->control, e))
			 : 0;
	}
	/* the name was asked for, so the journal is folded */
	for (size_t i = 0; i < n->catalog->n_cards; i++) {
		const struct jt_card *card = &n->catalog->cards[i];

		*tokensp += jt_card_lives(card) && card->plan == plan &&
			    card->type != JT_REC_REVOKE;
	}
	return 0;
}

static int settle(const struct jt_cmd *cmd, struct jt_change *c,
		  const char *what)
{
	enum jt_force force = jt_change_settle(c);
	char receipt[JT_RECEIPT_MAX];
	struct jt_sheet s;

	jt_receipt_format(&c->done, receipt);
	jt_sheet_begin(&s, cmd->json);
	jt_sheet_text(&s, "plan", "Plan", cmd->operands[0], NULL);
	jt_sheet_text(&s, "status", "Status", what, NULL);
	jt_sheet_text(&s, "receipt", "Receipt", receipt, NULL);
	jt_sheet_flag(&s, "in_force", "In force", force == JT_FORCE_NOW);
	jt_sheet_end(&s);
	if (force == JT_FORCE_LATER)
		jt_note("recorded; takes effect when the sidecar starts");
	return force == JT_FORCE_NOT ? JT_EXIT_SIDECAR : 0;
}

static int commit(const struct jt_cmd *cmd, struct jt_change *c,
		  struct jt_record *plan)
{
	struct jt_record batch[2] = {*plan, {.type = JT_REC_REASON}};
	const char *reason = cmd->args.reason;

	if (reason)
		memcpy(batch[1].reason, reason, strlen(reason));
	return jt_change_commit(c, batch, reason ? 2 : 1);
}

static int set(const struct jt_cmd *cmd, const struct jt_limit *limit,
	       struct jt_change *c, struct jt_numbers *n)
{
	uint64_t tokens, pairs = 0;
	struct jt_record *r;
	uint16_t number;
	int e = jt_numbers_name(n, cmd->operands[0], &number);

	if (e == 0)
		e = count_users(c, n, number, &tokens, &pairs);
	n->room.plans = pairs;
	if (e == 0)
		e = jt_numbers_fit(n, "nothing was changed");
	if (e)
		return e;
	r = &n->made[0];
	memcpy(r->plan.name, cmd->operands[0], strlen(cmd->operands[0]));
	jt_limits_put(limit, &r->plan);
	e = commit(cmd, c, r);
	return e ? e : settle(cmd, c, "Set");
}

int jt_cmd_plan_set(const struct jt_cmd *cmd)
{
	const struct jt_args *a = &cmd->args;
	struct jt_limit limit;
	struct jt_numbers n;
	struct jt_change c;
	int e = check_name(cmd);

	if (e == 0 && a->reason)
		e = jt_reason_check(a->reason);
	if (e)
		return e;
	e = jt_limits_parse(a->rate, a->burst, a->quota, &limit);
	if (e == 0)
		e = jt_limits_check(&limit);
	if (e == JT_LIMITS_E_NONE)
		return jt_fail(JT_EXIT_USAGE,
			       "the plan %s; give --rate, --quota or both",
			       jt_limits_why(e));
	if (e)
		return jt_fail(JT_EXIT_USAGE,
			       "--%s %s; see `jeton help plan set`",
			       jt_limits_which(e), jt_limits_why(e));
	e = jt_change_begin(&c, &cmd->paths);
	if (e)
		return e;
	e = jt_change_consent(&c);
	if (e == 0)
		e = jt_numbers_begin(&n, &c);
	if (e == 0) {
		e = set(cmd, &limit, &c, &n);
		jt_numbers_end(&n);
	}
	jt_change_end(&c);
	return e;
}

static int remove_plan(const struct jt_cmd *cmd, struct jt_change *c,
		       struct jt_numbers *n)
{
	struct jt_record r = {.type = JT_REC_PLAN};
	/* it is not there any more, whatever it was: nobody has it */
	const struct jt_limit least = {.quota = 1, .quota_unit = JT_QUOTA_DAY};
	uint64_t tokens, pairs;
	int e = jt_numbers_plan(n, cmd->operands[0], &r.plan.number);

	if (e == 0)
		e = count_users(c, n, r.plan.number, &tokens, &pairs);
	if (e)
		return e;
	if (tokens)
		return jt_fail(JT_EXIT_NO,
			       "%" PRIu64 " token%s plan %s, nothing was "
			       "changed; see `jeton list --plan %s`, give %s "
			       "another with `jeton set ID --plan OTHER`",
			       tokens, tokens == 1 ? " has" : "s have",
			       cmd->operands[0], cmd->operands[0],
			       tokens == 1 ? "it" : "them");
	memcpy(r.plan.name, cmd->operands[0], strlen(cmd->operands[0]));
	jt_limits_put(&least, &r.plan);
	r.plan.removed = 1;
	e = commit(cmd, c, &r);
	return e ? e : settle(cmd, c, "Removed");
}

int jt_cmd_plan_rm(const struct jt_cmd *cmd)
{
	struct jt_numbers n;
	struct jt_change c;
	int e = check_name(cmd);

	if (e == 0 && cmd->args.reason)
		e = jt_reason_check(cmd->args.reason);
	if (e == 0)
		e = jt_change_begin(&c, &cmd->paths);
	if (e)
		return e;
	e = jt_change_consent(&c);
	if (e == 0)
		e = jt_numbers_begin(&n, &c);
	if (e == 0) {
		e = remove_plan(cmd, &c, &n);
		jt_numbers_end(&n);
	}
	jt_change_end(&c);
	return e;
}

static void put_row(const struct jt_plan_card *p, uint64_t users,
		    const char *limits)
{
	char cell[JT_CELL_BYTES(JT_PLAN_MAX, JT_PLAN_MAX)];
	size_t used = LIMITS_AT, n;

	if (jt_style_of(false) == JT_STYLE_TSV) {
		jt_put_text(stdout, JT_STYLE_TSV, p->name, JT_PLAN_MAX);
		printf("\t%" PRIu64 "\t%s\n", users, limits);
		return;
	}
	n = jt_text_cell(p->name, JT_PLAN_MAX, JT_PLAN_MAX, cell);
	printf("%.*s  %8" PRIu64 "  ", (int)n, cell, users);
	jt_put_wrapped(stdout, limits, LIMITS_AT, jt_terminal_width(), &used);
	putchar('\n');
}

static void put_plan(const struct jt_cmd *cmd, const struct jt_catalog *c,
		     uint32_t number)
{
	const struct jt_plan_card *p = &c->plans[number];
	char rate[JT_LIMIT_TEXT], quota[JT_LIMIT_TEXT], text[JT_LIMIT_TEXT];
	uint64_t users = 0;
	json_t *o;

	for (size_t i = 0; i < c->n_cards; i++)
		users += jt_card_lives(&c->cards[i]) &&
			 c->cards[i].plan == number &&
			 c->cards[i].type != JT_REC_REVOKE;
	jt_limits_rate(&p->limit, rate);
	jt_limits_quota(&p->limit, quota);
	jt_limits_format(&p->limit, text);
	if (!cmd->json) {
		put_row(p, users, text);
		return;
	}
	o = json_object();
	json_object_set_new(o, "plan", jt_json_text(p->name, JT_PLAN_MAX));
	json_object_set_new(o, "tokens", json_integer((json_int_t)users));
	json_object_set_new(o, "rate",
			    p->limit.rate ? json_string(rate) : json_null());
	json_object_set_new(o, "burst",
			    p->limit.rate
				    ? json_integer((json_int_t)p->limit.burst)
				    : json_null());
	json_object_set_new(o, "quota",
			    p->limit.quota ? json_string(quota) : json_null());
	jt_put_json(stdout, o);
}

int jt_cmd_plan_list(const struct jt_cmd *cmd)
{
	struct jt_fault fault = {.line = "not enough memory"};
	struct jt_catalog catalog;
	struct jt_journal j;
	int e = jt_journal_open(&j, &jt_io_os, cmd->paths.data, &fault);

	if (e)
		return jt_journal_refusal(e, &fault);
	e = jt_catalog_init(&catalog);
	if (e == 0)
		e = jt_catalog_load(&catalog, &j, &fault);
	jt_journal_close(&j);
	if (e == 0 && jt_style_of(cmd->json) == JT_STYLE_TABLE)
		printf("%-32s  %8s  LIMITS\n", "PLAN", "TOKENS");
	for (uint32_t i = 1; e == 0 && i <= catalog.n_plans; i++)
		if (catalog.plans[i].name[0] && !catalog.plans[i].removed)
			put_plan(cmd, &catalog, i);
	jt_catalog_deinit(&catalog);
	return e ? jt_journal_refusal(e, &fault) : 0;
}
