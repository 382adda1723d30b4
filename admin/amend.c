/*
 * amend: see amend.h.
 *
 * A choice needs all tokens, which are folded without the lock (fold.h). Under
 * the lock the choice is made again on what was committed meanwhile: what the
 * user confirmed is a count, what is done is what fits at the moment of the
 * commit.
 */
#include "admin/amend.h"

#include "admin/label.h"
#include "admin/vault_use.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORDS_MIN 16u

int jt_reason_check(const char *reason)
{
	char why[JT_WHY_MAX];
	int e = jt_label_check(reason, strlen(reason), JT_REASON_MAX);

	if (e == 0)
		return 0;
	jt_label_why(e, JT_REASON_MAX, why, sizeof(why));
	return jt_fail(JT_EXIT_USAGE, "--reason %s", why);
}

int jt_confirm(const struct jt_cmd *cmd, const char *fmt, ...)
{
	char question[256], answer[8] = "";
	va_list args;

	if (cmd->args.yes)
		return 0;
	va_start(args, fmt);
	vsnprintf(question, sizeof(question), fmt, args);
	va_end(args);
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return jt_fail(JT_EXIT_USAGE,
			       "%s? There is no terminal to ask on; give --yes",
			       question);
	fprintf(stderr, "%s? [y/N] ", question);
	if (fgets(answer, sizeof(answer), stdin) &&
	    (answer[0] == 'y' || answer[0] == 'Y'))
		return 0;
	return jt_fail(JT_EXIT_NO, "nothing was changed");
}

/* Put a record behind the others. */
static int push(struct jt_amend *a, const struct jt_record *r)
{
	size_t max = a->n_max ? 2 * a->n_max : RECORDS_MIN;
	struct jt_record *records;

	if (a->n == a->n_max) {
		records = reallocarray(a->records, max, sizeof(*records));
		if (!records)
			return jt_fail(JT_EXIT_FILE, "not enough memory");
		a->records = records;
		a->n_max = max;
	}
	a->records[a->n++] = *r;
	return 0;
}

/* The token in a->found, whose newest record is known. */
static int amend_one(struct jt_amend *a)
{
	struct jt_record r = {.type = a->verb->type};
	int e;

	memcpy(r.env, a->found.newest.env, sizeof(r.env));
	r.token = a->found.newest.token;
	e = a->verb->one(a, &a->found, &r);
	if (e == JT_AMEND_SAME) {
		a->n_same++;
		return 0;
	}
	if (e == JT_AMEND_SKIP) {
		a->n_skipped++;
		return a->named ? JT_EXIT_NO : 0;
	}
	/* what it has already, there is room for */
	if (e == 0 && a->verb->room &&
	    (r.token.plan != a->found.newest.token.plan ||
	     r.token.own != a->found.newest.token.own))
		e = jt_numbers_use(&a->numbers, r.token.plan, r.token.own);
	return e ? e : push(a, &r);
}

static int amend_named(struct jt_amend *a)
{
	struct jt_fault fault = {0};
	int e = 0;

	a->named = true;
	for (size_t i = 0; e == 0 && i < a->cmd->n_operands; i++) {
		const char *id = a->cmd->operands[i];

		e = jt_lookup(&a->change.journal, &a->change.control, id,
			      &a->found, &fault);
		if (e)
			return jt_journal_refusal(e, &fault);
		if (!a->found.exists)
			return jt_no_such_id(id);
		e = amend_one(a);
	}
	return e;
}

/* The same without a keeper, who would be asked about each of many. */
static int amend_folded(struct jt_amend *a, struct jt_fold *f)
{
	struct jt_fault fault = {0};
	int e = 0;

	a->named = true;
	for (size_t i = 0; e == 0 && i < a->cmd->n_operands; i++) {
		const char *id = a->cmd->operands[i];
		const struct jt_card *card = jt_catalog_find(&f->catalog, id);

		if (!card)
			return jt_no_such_id(id);
		memset(&a->found, 0, sizeof(a->found));
		jt_found_fill(&a->found, &f->catalog, card);
		e = jt_journal_read(&a->change.journal, card->last,
				    &a->found.newest, 1, &fault);
		e = e ? jt_journal_refusal(e, &fault) : amend_one(a);
	}
	return e;
}

/* ---- a choice ---- */

static size_t count(const struct jt_amend *a, const struct jt_fold *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->catalog.n_cards; i++)
		n += jt_choice_fits(&a->choice, &f->catalog,
				    &f->catalog.cards[i]);
	return n;
}

static int amend_chosen(struct jt_amend *a, struct jt_fold *f)
{
	struct jt_fault fault = {0};
	int e = 0;

	for (size_t i = 0; e == 0 && i < f->catalog.n_cards; i++) {
		const struct jt_card *card = &f->catalog.cards[i];

		if (!jt_choice_fits(&a->choice, &f->catalog, card))
			continue;
		jt_found_fill(&a->found, &f->catalog, card);
		e = jt_journal_read(&a->change.journal, card->last,
				    &a->found.newest, 1, &fault);
		e = e ? jt_journal_refusal(e, &fault) : amend_one(a);
	}
	return e;
}

/* ---- the commit ---- */

static int add_reason(struct jt_amend *a)
{
	struct jt_record r = {.type = JT_REC_REASON};
	const char *reason = a->cmd->args.reason;

	if (!reason)
		return 0;
	memcpy(r.reason, reason, strlen(reason));
	return push(a, &r);
}

/* Definitions that are new stand in front. */
static int add_made(struct jt_amend *a)
{
	size_t n = a->numbers.n_made, tokens = a->n;
	int e = 0;

	for (size_t i = 0; e == 0 && i < n; i++)
		e = push(a, &a->numbers.made[i]);
	if (e || n == 0)
		return e;
	memmove(a->records + n, a->records, tokens * sizeof(*a->records));
	memcpy(a->records, a->numbers.made, n * sizeof(*a->records));
	return 0;
}

static int commit(struct jt_amend *a)
{
	int e = 0;

	if (a->n == 0) {
		jt_change_keep(&a->change);
		return 0;
	}
	if (a->verb->room)
		e = jt_numbers_fit(&a->numbers, "nothing was changed");
	if (e == 0 && a->verb->room)
		e = jt_change_still_alone(&a->change);
	if (e == 0)
		e = add_made(a);
	if (e == 0)
		e = add_reason(a);
	if (e == 0 && a->verb->before)
		e = a->verb->before(a);
	return e ? e : jt_change_commit(&a->change, a->records, a->n);
}

/* ---- the answer ---- */

static bool is_changed(const struct jt_record *r)
{
	return jt_record_is_token(r->type);
}

static size_t n_changed(const struct jt_amend *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n; i++)
		n += is_changed(&a->records[i]);
	return n;
}

static void put_one(struct jt_amend *a, const struct jt_record *r,
		    const char *receipt)
{
	char id[JT_ID_BYTES + 1] = "", name[JT_NAME_MAX + 1] = "";
	struct jt_card card;
	struct jt_sheet s;

	jt_card_fill(&card, r, r);
	memcpy(id, r->token.id, JT_ID_BYTES);
	memcpy(name, r->token.name, strnlen(r->token.name, JT_NAME_MAX));
	jt_sheet_begin(&s, a->cmd->json);
	jt_sheet_text(&s, "id", "Id", id, NULL);
	jt_sheet_text(&s, "name", "Name", name, NULL);
	jt_sheet_text(&s, "status", "Status", jt_card_status(&card, a->now_s),
		      NULL);
	if (a->verb->put)
		a->verb->put(a, r, &s);
	jt_sheet_text(&s, "receipt", "Receipt", receipt, NULL);
	jt_sheet_flag(&s, "in_force", "In force", a->force == JT_FORCE_NOW);
	jt_sheet_end(&s);
}

/* Many, and not as JSON: a line each is enough. */
static void put_line(const struct jt_amend *a, const struct jt_record *r)
{
	enum jt_style style = jt_style_of(false);

	printf("%.*s%s", JT_ID_BYTES, r->token.id,
	       style == JT_STYLE_TSV ? "\t" : "  ");
	jt_put_text(stdout, style, r->token.name, JT_NAME_MAX);
	putchar('\n');
}

static void put_all(struct jt_amend *a)
{
	char receipt[JT_RECEIPT_MAX];
	size_t n = n_changed(a);

	jt_receipt_format(&a->change.done, receipt);
	if (a->verb->tell && n) {
		a->verb->tell(a, receipt);
		return;
	}
	if (n == 0 && a->n_same == 1 && a->named) {
		struct jt_record r = a->found.newest;

		put_one(a, &r, receipt);
	}
	for (size_t i = 0; i < a->n; i++) {
		if (!is_changed(&a->records[i]))
			continue;
		if (n == 1 || a->cmd->json)
			put_one(a, &a->records[i], receipt);
		else
			put_line(a, &a->records[i]);
	}
	if (n != 1)
		jt_note("%zu tokens %s%s%s", n, a->verb->done,
			n ? ", receipt " : "", n ? receipt : "");
	if (a->n_same)
		jt_note("already %s: %zu", a->verb->done, a->n_same);
	if (a->n_skipped && !a->named)
		jt_note("passed over: %zu", a->n_skipped);
}

/* What the vault holds of values that have ended. */
static void forget_values(const struct jt_amend *a)
{
	jt_vault_forget(&a->cmd->paths, a->records, a->n);
	/* a crash may have come between the revoke and the wiping */
	if (a->n == 0 && a->found.newest.type == JT_REC_REVOKE)
		jt_vault_forget(&a->cmd->paths, &a->found.newest, 1);
}

int jt_amend_settle(struct jt_amend *a)
{
	int e = 0;

	a->force = jt_change_settle(&a->change);
	if (a->verb->after)
		e = a->verb->after(a);
	if (!a->undone)
		forget_values(a);
	if (e)
		return e;
	put_all(a);
	if (a->force == JT_FORCE_NOW)
		return 0;
	if (a->force == JT_FORCE_NOT)
		return JT_EXIT_SIDECAR;
	if (!a->verb->urgent || a->cmd->args.offline) {
		jt_note("recorded; takes effect when the sidecar starts");
		return 0;
	}
	return jt_fail(JT_EXIT_SIDECAR,
		       "recorded, but no sidecar runs on %s: takes effect when "
		       "it starts; if that is as it should be, use --offline",
		       a->cmd->paths.data);
}

int jt_amend_choose(struct jt_amend *a, struct jt_fold *f)
{
	if (a->choice.any)
		return amend_chosen(a, f);
	return f ? amend_folded(a, f) : amend_named(a);
}

static int under_lock(struct jt_amend *a, struct jt_fold *f)
{
	struct jt_fault fault = {0};
	int e = 0;

	if (a->verb->room)
		e = jt_change_consent(&a->change);
	if (e == 0) {
		e = jt_journal_rules(&a->change.journal, &a->rules, &fault);
		e = e ? jt_journal_refusal(e, &fault) : 0;
	}
	if (e == 0)
		e = jt_numbers_begin(&a->numbers, &a->change);
	if (e)
		return e;
	if (f) {
		e = jt_fold_catch_up(f, &a->change.journal);
		a->numbers.catalog = &f->catalog;
	}
	if (e == 0 && a->verb->begin)
		e = a->verb->begin(a);
	if (e == 0)
		e = jt_amend_choose(a, f);
	if (e == 0)
		e = commit(a);
	jt_numbers_end(&a->numbers);
	return e ? e : jt_amend_settle(a);
}

static int run(struct jt_amend *a, struct jt_fold *f)
{
	size_t n = a->choice.any ? count(a, f) : a->cmd->n_operands;
	int e = 0;

	if (n == 0)
		return jt_fail(JT_EXIT_NO,
			       "no token fits that; see `jeton list`");
	if (n > 1)
		e = jt_confirm(a->cmd, "%zu tokens are to be %s", n,
			       a->verb->done);
	if (e)
		return e;
	if (a->verb->type == JT_REC_REVOKE)
		e = jt_change_begin_mute(&a->change, &a->cmd->paths);
	else
		e = jt_change_begin(&a->change, &a->cmd->paths);
	if (e == 0)
		e = under_lock(a, f);
	jt_change_end(&a->change);
	return a->change.mute && a->change.trouble ? jt_emergency(a, f) : e;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_twice(const struct jt_cmd *cmd)
{
	size_t n = cmd->n_operands;
	const char **ids = calloc(n + 1, sizeof(*ids));
	int e = 0;

	if (!ids)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	memcpy(ids, cmd->operands, n * sizeof(*ids));
	qsort(ids, n, sizeof(*ids), by_text);
	for (size_t i = 1; e == 0 && i < n; i++)
		if (strcmp(ids[i - 1], ids[i]) == 0)
			e = jt_fail(JT_EXIT_USAGE, "%.24s is given twice",
				    ids[i]);
	free(ids);
	return e;
}

static int check(struct jt_amend *a)
{
	const struct jt_cmd *cmd = a->cmd;
	int e = jt_choice_read(cmd, a->verb->choice, a->now_s, &a->choice);

	a->choice.not_revoked = a->verb->type != JT_REC_PURGE;
	for (size_t i = 0; e == 0 && i < cmd->n_operands; i++)
		e = jt_id_check(cmd->operands[i]);
	if (e == 0)
		e = check_twice(cmd);
	if (e == 0 && cmd->args.reason)
		e = jt_reason_check(cmd->args.reason);
	if (e == 0 && a->verb->check)
		e = a->verb->check(a);
	if (e)
		return e;
	if (cmd->n_operands && a->choice.any)
		return jt_fail(JT_EXIT_USAGE,
			       "name tokens by id, or choose them by options, "
			       "not both");
	if (!cmd->n_operands && !a->choice.any)
		return jt_fail(JT_EXIT_USAGE,
			       "which tokens? Give ids, or --owner, --env, "
			       "--name and the like; see --help");
	return 0;
}

/* Are all tokens needed, or more than one and nobody to ask? */
static bool needs_fold(const struct jt_amend *a)
{
	char dir[PATH_MAX];

	return a->choice.any || (a->cmd->n_operands > 1 &&
				 !jt_control_where(a->cmd->paths.data, dir));
}

int jt_amend(const struct jt_cmd *cmd, const struct jt_amend_verb *verb,
	     void *own)
{
	struct jt_amend *a = calloc(1, sizeof(*a));
	struct jt_fold *f = NULL;
	int e;

	if (!a)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	a->cmd = cmd;
	a->verb = verb;
	a->own = own;
	a->now_s = jt_io_os.wall_ns() / 1000000000u;
	a->change.control.fd = -1;
	e = check(a);
	if (e == 0 && needs_fold(a)) {
		f = calloc(1, sizeof(*f));
		e = f ? jt_fold_open(f, &cmd->paths)
		      : jt_fail(JT_EXIT_FILE, "not enough memory");
	}
	if (e == 0)
		e = run(a, f);
	if (f)
		jt_fold_close(f);
	free(f);
	free(a->records);
	free(a);
	return e;
}
