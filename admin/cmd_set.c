/*
 * jeton set, jeton rename: another owner, other limits or scopes, another
 * name; in force with the next request.
 */
#include "admin/amend.h"
#include "admin/draft.h"

#include <string.h>

struct set {
	const char *owner; /* NULL: as it is; empty: none */
	bool has_scopes;
	char scopes[JT_SCOPES_TEXT];
	const char *plan;
	uint16_t plan_number, set_number;
};

/* The words that take something away. */
static const char *or_none(const char *text)
{
	return text && strcmp(text, "none") == 0 ? "" : text;
}

static int check(struct jt_amend *a)
{
	const struct jt_args *args = &a->cmd->args;
	char why[JT_WHY_MAX], owner[JT_OWNER_MAX], given[JT_SCOPES_TEXT];
	struct set *s = a->own;
	int e;

	if (!args->owner && !args->rate && !args->burst && !args->quota &&
	    !args->plan && !args->n_scopes)
		return jt_fail(JT_EXIT_USAGE, "set what? Give --owner, --rate, "
					      "--burst, --quota, --plan or "
					      "--scope");
	s->owner = or_none(args->owner);
	s->plan = or_none(args->plan);
	s->has_scopes = args->n_scopes > 0;
	if (s->owner && *s->owner &&
	    !jt_draft_label(s->owner, owner, sizeof(owner), why))
		return jt_fail(JT_EXIT_USAGE, "--owner %s", why);
	if (s->plan && *s->plan && !jt_plan_name_ok(s->plan))
		return jt_fail(JT_EXIT_USAGE, "--plan is no plan's name; see "
					      "`jeton plan list`");
	e = jt_args_scopes(args, given, sizeof(given))
		    ? jt_scopes_parse(given, s->scopes)
		    : JT_SCOPES_E_LONG;
	return e ? jt_fail(JT_EXIT_USAGE, "--scope %s", jt_scopes_why(e)) : 0;
}

static int begin(struct jt_amend *a)
{
	struct set *s = a->own;
	int e = 0;

	if (s->plan)
		e = jt_numbers_plan(&a->numbers, s->plan, &s->plan_number);
	if (e == 0 && s->has_scopes)
		e = jt_numbers_scopes(&a->numbers, s->scopes, &s->set_number);
	return e;
}

/* The token's own limits after this command. */
static int limits(struct jt_amend *a, const struct jt_found *f,
		  uint16_t *numberp)
{
	const struct jt_args *args = &a->cmd->args;
	char rate[JT_LIMIT_TEXT], quota[JT_LIMIT_TEXT];
	struct jt_limit own;
	int e;

	if (!args->rate && !args->burst && !args->quota)
		return 0;
	/* what is not given stays as it is */
	jt_limits_rate(&f->own, rate);
	jt_limits_quota(&f->own, quota);
	e = jt_limits_parse(args->rate ? args->rate : rate, args->burst,
			    args->quota ? args->quota : quota, &own);
	if (e == 0 && !args->rate && !args->burst && f->own.rate)
		own.burst = f->own.burst;
	if (e)
		return jt_fail(JT_EXIT_USAGE, "--%s %s; see `jeton help set`",
			       jt_limits_which(e), jt_limits_why(e));
	return jt_numbers_limit(&a->numbers, &own, numberp);
}

static int one(struct jt_amend *a, const struct jt_found *f,
	       struct jt_record *r)
{
	const struct set *s = a->own;
	struct jt_record_token before = r->token;
	int e;

	if (f->newest.type == JT_REC_REVOKE) {
		jt_note("%.24s is revoked for good", f->card.id);
		return JT_AMEND_SKIP;
	}
	if (s->owner) {
		memset(r->token.owner, 0, sizeof(r->token.owner));
		memcpy(r->token.owner, s->owner, strlen(s->owner));
		a->numbers.room.owner_bytes = strlen(s->owner) + 1;
	}
	if (s->plan)
		r->token.plan = s->plan_number;
	if (s->has_scopes)
		r->token.scope_set = s->set_number;
	e = limits(a, f, &r->token.own);
	if (e)
		return e;
	return memcmp(&before, &r->token, sizeof(before)) ? 0 : JT_AMEND_SAME;
}

int jt_cmd_set(const struct jt_cmd *cmd)
{
	static const struct jt_amend_verb verb = {
		.type = JT_REC_SET,
		.done = "set",
		.room = true,
		.check = check,
		.begin = begin,
		.one = one,
	};
	struct set s = {0};

	return jt_amend(cmd, &verb, &s);
}

static int check_name(struct jt_amend *a)
{
	char why[JT_WHY_MAX], name[JT_NAME_MAX];

	if (jt_draft_label(a->own, name, sizeof(name), why))
		return 0;
	return jt_fail(JT_EXIT_USAGE, "the name %s", why);
}

static int rename_one(struct jt_amend *a, const struct jt_found *f,
		      struct jt_record *r)
{
	const char *name = a->own;

	memset(r->token.name, 0, sizeof(r->token.name));
	memcpy(r->token.name, name, strlen(name));
	if (f->newest.type == JT_REC_REVOKE) {
		jt_note("%.24s is revoked for good", f->card.id);
		return JT_AMEND_SKIP;
	}
	return memcmp(r->token.name, f->card.name, JT_NAME_MAX) ? 0
								: JT_AMEND_SAME;
}

int jt_cmd_rename(const struct jt_cmd *cmd)
{
	static const struct jt_amend_verb verb = {
		.type = JT_REC_RENAME,
		.done = "renamed",
		.check = check_name,
		.one = rename_one,
	};
	struct jt_cmd one = *cmd;
	char name[JT_NAME_MAX * 4];

	one.n_operands = 1;
	if (strlen(cmd->operands[1]) >= sizeof(name))
		return jt_fail(JT_EXIT_USAGE,
			       "the name is longer than %d "
			       "bytes",
			       JT_NAME_MAX);
	strcpy(name, cmd->operands[1]);
	return jt_amend(&one, &verb, name);
}
