/*
 * jeton import: other systems' tokens, by digest.
 *
 * The table is read and judged without the lock, then looked at again under it,
 * and what is ready goes into one commit. Results are told after that: a lost
 * answer costs nothing, for the same table tells `exists` the next time.
 */
#include "admin/cmd.h"
#include "admin/intake.h"
#include "admin/outfile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

struct import {
	const struct jt_cmd *cmd;
	struct jt_intake in;
	struct jt_change change;
	struct jt_outfile out; /* with --out */
	char scopes[JT_SCOPES_TEXT];
	uint64_t now_s;
	bool committed;
	enum jt_force force;
};

static const char lost[] = "but what the summary says holds; run it again for "
			   "the results, with another --out FILE";

/* ---- results ---- */

/* Words and ids need no escape; a reason is plain ASCII, but be it checked. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
			return false;
	return true;
}

static void put_json_row(FILE *out, uint64_t line, const char *word,
			 const char *id, const char *why)
{
	fprintf(out, "{\"line\":%" PRIu64 ",\"result\":\"%s\"", line, word);
	if (*id)
		fprintf(out, ",\"id\":\"%s\"", id);
	if (*why)
		fprintf(out, ",\"why\":\"%s\"",
			is_plain(why) ? why : "the row does not hold");
	fputs("}\n", out);
}

static void put_rows(struct import *m, FILE *out, enum jt_style style)
{
	char id[JT_ID_BYTES + 1], why[JT_WHY_MAX];

	if (style == JT_STYLE_TABLE)
		printf("%8s  %-9s  %-24s  WHY\n", "LINE", "RESULT", "ID");
	for (size_t i = 0; i < m->in.n_rows; i++) {
		const struct jt_intake_row *row = &m->in.rows[i];
		const char *word = jt_intake_words[row->result];

		jt_intake_tell(&m->in, row, m->now_s, id, why);
		if (style == JT_STYLE_JSON)
			put_json_row(out, row->line, word, id, why);
		else
			fprintf(out,
				style == JT_STYLE_TSV
					? "%" PRIu64 "\t%s\t%s\t%s\n"
					: "%8" PRIu64 "  %-9s  %-24s  %s\n",
				row->line, word, id, why);
	}
}

static int put_results(struct import *m)
{
	int e;

	if (!m->cmd->args.out) {
		put_rows(m, stdout, jt_style_of(m->cmd->json));
		return 0;
	}
	m->out.lost = lost;
	put_rows(m, m->out.file, m->cmd->json ? JT_STYLE_JSON : JT_STYLE_TSV);
	e = jt_outfile_sync(&m->out);
	return e ? e : jt_outfile_publish(&m->out);
}

static void summarize(const struct import *m)
{
	const size_t *n = m->in.counts;
	char receipt[JT_RECEIPT_MAX];

	jt_note("%s: %zu imported, %zu ready, %zu there already, %zu "
		"duplicates, %zu bad",
		m->cmd->operands[0], n[JT_INTAKE_IMPORTED], n[JT_INTAKE_READY],
		n[JT_INTAKE_EXISTS], n[JT_INTAKE_DUPLICATE], n[JT_INTAKE_BAD]);
	if (!m->committed)
		return;
	jt_receipt_format(&m->change.done, receipt);
	jt_note("receipt %s", receipt);
	if (m->force == JT_FORCE_LATER)
		jt_note("recorded; takes effect when the sidecar starts");
}

/* ---- the commit ---- */

/* The journal that was folded is still the one, and says what about rows? */
static int look_again(struct import *m)
{
	const struct jt_fold *f = &m->in.fold;
	const struct jt_journal *j = &m->change.journal;
	int e;

	if (f->open && f->journal.generation != j->generation)
		return jt_fail(JT_EXIT_FILE,
			       "the journal was compacted meanwhile, nothing "
			       "was imported; run it again");
	e = jt_fold_catch_up(&m->in.fold, j);
	return e ? e : jt_intake_again(&m->in);
}

static bool may_go_on(const struct import *m)
{
	return m->cmd->args.skip_bad || m->in.counts[JT_INTAKE_BAD] == 0;
}

static int commit(struct import *m)
{
	struct jt_issue *s = &m->in.issue;
	int e = jt_issue_lock(s, &m->change, &m->cmd->paths);

	if (e == 0)
		e = look_again(m);
	if (e || !may_go_on(m))
		return e;
	s->catalog = &m->in.fold.catalog;
	if (s->n)
		e = jt_issue_resolve(s, &m->change);
	if (e == 0 && !m->cmd->args.dry_run)
		e = jt_change_still_alone(&m->change);
	if (e || m->cmd->args.dry_run)
		return e;
	if (s->n)
		e = jt_change_commit(&m->change, s->records, s->n);
	else
		jt_change_keep(&m->change);
	m->committed = e == 0 && s->n;
	return e;
}

/* The first user makes the journal; ids begin as it says. */
static int make_journal(struct import *m)
{
	struct jt_issue *s = &m->in.issue;
	char prefix[sizeof(s->prefix)];
	int e;

	memcpy(prefix, s->prefix, sizeof(prefix));
	e = jt_issue_open(s, &m->cmd->paths);
	if (e == 0 && memcmp(prefix, s->prefix, sizeof(prefix)) != 0)
		return jt_fail(JT_EXIT_FILE,
			       "%s: a journal stands there since a moment, "
			       "nothing was imported; run it again",
			       m->cmd->paths.data);
	return e;
}

/* Do it, or with --dry-run see whether it could be done. */
static int carry_out(struct import *m)
{
	int e = 0;

	if (!m->in.fold.open && (m->cmd->args.dry_run || m->in.issue.n == 0))
		return 0;
	if (!m->in.fold.open)
		e = make_journal(m);
	if (e == 0)
		e = commit(m);
	if (e || m->cmd->args.dry_run || !may_go_on(m)) {
		jt_change_end(&m->change);
		return e;
	}
	m->force = jt_change_settle(&m->change);
	jt_change_end(&m->change);
	jt_intake_imported(&m->in);
	return m->force == JT_FORCE_NOT ? JT_EXIT_SIDECAR : 0;
}

/* ---- the table ---- */

static int read_table(struct import *m)
{
	const struct jt_args *a = &m->cmd->args;
	const char *text[JT_COLUMNS_N] = {
		[JT_COL_expires] = a->expires, [JT_COL_env] = a->env,
		[JT_COL_owner] = a->owner,     [JT_COL_rate] = a->rate,
		[JT_COL_burst] = a->burst,     [JT_COL_quota] = a->quota,
		[JT_COL_plan] = a->plan,       [JT_COL_scopes] = m->scopes,
	};
	struct jt_bulk table = {
		.path = m->cmd->operands[0],
		.defaults = text,
		.extra = "digest",
		.rules = &m->in.issue.rules,
		.now_s = m->now_s,
		.row = jt_intake_row,
		.bad = jt_intake_bad,
		.ctx = &m->in,
	};
	int e;

	if (!jt_args_scopes(a, m->scopes, sizeof(m->scopes)))
		return jt_fail(JT_EXIT_USAGE, "--scope %s",
			       jt_scopes_why(JT_SCOPES_E_LONG));
	e = jt_bulk_rows(&table);
	if (e == 0 && table.rows == 0)
		return jt_fail(JT_EXIT_USAGE,
			       "%s has no rows; it needs a header with `name` "
			       "and `digest` and a row for each token",
			       table.path);
	return e;
}

/* All that the journal says already. */
static int fold(struct import *m)
{
	struct jt_issue *s = &m->in.issue;
	struct jt_fold *f = &m->in.fold;
	int e = jt_fold_open(f, &m->cmd->paths);

	if (e)
		return e;
	strcpy(s->prefix, JT_PREFIX_DEFAULT);
	if (f->open) {
		memcpy(s->prefix, f->journal.prefix, sizeof(s->prefix));
		memcpy(s->journal_id, f->journal.id, sizeof(s->journal_id));
	}
	s->rules = f->catalog.rules;
	return 0;
}

static int run(struct import *m)
{
	int done = 0, e = fold(m);

	if (e == 0 && m->cmd->args.out)
		e = jt_outfile_open(&m->out, m->cmd->args.out);
	if (e == 0)
		e = read_table(m);
	if (e == 0 && may_go_on(m))
		done = carry_out(m);
	/* without a commit and not for a bad row: there is nothing to tell */
	if (e || (done && !m->committed))
		return e ? e : done;
	summarize(m);
	e = put_results(m);
	if (e || done)
		return e ? e : done;
	if (may_go_on(m))
		return 0;
	return jt_fail(JT_EXIT_USAGE,
		       "%s: bad rows, nothing was imported; correct them, or "
		       "leave them out with --skip-bad",
		       m->cmd->operands[0]);
}

int jt_cmd_import(const struct jt_cmd *cmd)
{
	const struct rlimit none = {0, 0};
	enum jt_intake_form form;
	struct import *m;
	int e;

	if (!cmd->args.scheme || !jt_intake_form_parse(cmd->args.scheme, &form))
		return jt_fail(
			JT_EXIT_USAGE,
			"import needs --scheme sha256-hex, sha256-base64 "
			"or sha256-prefixed; see `jeton help import`");
	if (!cmd->args.out && cmd->stdout_closed)
		return jt_fail(JT_EXIT_FILE,
			       "stdout is closed, nothing was imported; open "
			       "it or use --out FILE");
	/* a table may hold values by mistake: no core file, no debugger */
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	m = calloc(1, sizeof(*m));
	if (!m)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	m->cmd = cmd;
	m->now_s = jt_io_os.wall_ns() / 1000000000u;
	m->change.control.fd = -1;
	m->out.dir_fd = -1;
	e = jt_intake_init(&m->in, form) == 0
		    ? run(m)
		    : jt_fail(JT_EXIT_FILE, "not enough memory");
	jt_outfile_discard(&m->out);
	jt_intake_deinit(&m->in);
	free(m);
	return e;
}
