/*
 * jeton create: new tokens.
 *
 * The order keeps every value deliverable: stdout or the --out file is proven
 * before the commit, the value is shown only when the commit is in force, and
 * a value that then cannot be delivered is revoked at once.
 */
#include "admin/bulk.h"
#include "admin/cmd.h"
#include "admin/expiry.h"
#include "admin/lookup.h"
#include "admin/outfile.h"
#include "admin/random.h"
#include "admin/vault_use.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

struct create {
	const struct jt_cmd *cmd;
	struct jt_issue issue;
	struct jt_change change;
	struct jt_outfile out; /* with --out */
	bool to_file;
	char scopes[JT_SCOPES_TEXT];
	char token[JT_TOKEN_BYTES + 1]; /* the one for stdout, and '\n' */
	enum jt_force force;
};

static const struct jt_record *last_record(const struct create *c)
{
	return &c->issue.records[c->issue.n - 1];
}

/* What shall be made? */
static int gather(struct create *c)
{
	const struct jt_args *a = &c->cmd->args;
	const char *text[JT_COLUMNS_N] = {
		[JT_COL_expires] = a->expires, [JT_COL_env] = a->env,
		[JT_COL_owner] = a->owner,     [JT_COL_rate] = a->rate,
		[JT_COL_burst] = a->burst,     [JT_COL_quota] = a->quota,
		[JT_COL_plan] = a->plan,       [JT_COL_scopes] = c->scopes,
	};
	uint64_t now_s = jt_io_os.wall_ns() / 1000000000u;
	enum jt_column column;
	char why[JT_WHY_MAX];
	struct jt_draft d;

	if (!jt_args_scopes(a, c->scopes, sizeof(c->scopes)))
		return jt_fail(JT_EXIT_USAGE, "--scope %s",
			       jt_scopes_why(JT_SCOPES_E_LONG));
	if (a->from)
		return jt_bulk_read(a->from, text, now_s, &c->issue);
	text[JT_COL_name] = c->cmd->operands[0];
	if (!jt_draft_parse(text, &c->issue.rules, now_s, &d, &column, why))
		return jt_fail(
			JT_EXIT_USAGE, "%s%s %s; see `jeton help create`",
			column == JT_COL_name ? "" : "--",
			column == JT_COL_scopes ? "scope"
						: jt_column_names[column],
			why);
	return jt_issue_add(&c->issue, &d) == 0
		       ? 0
		       : jt_fail(JT_EXIT_FILE, "not enough memory");
}

/* Make every value and bring it where it cannot be lost. */
static int make_values(struct create *c)
{
	char token[JT_TOKEN_BYTES];

	if (!c->to_file) {
		jt_issue_make(&c->issue, 0, c->token);
		c->token[JT_TOKEN_BYTES] = '\n';
		return 0;
	}
	if (c->cmd->args.from) {
		jt_random_pool();
		jt_bulk_write_header(c->out.file);
	}
	for (size_t i = 0; i < c->issue.n; i++) {
		jt_issue_make(&c->issue, i, token);
		if (c->cmd->args.from) {
			jt_bulk_write(c->out.file, &c->issue.records[i], token);
		} else {
			fwrite(token, 1, sizeof(token), c->out.file);
			fputc('\n', c->out.file);
		}
	}
	sodium_memzero(token, sizeof(token));
	return jt_outfile_sync(&c->out);
}

static int print_json(const struct create *c, const char *receipt)
{
	const struct jt_record *r = last_record(c);
	char expires[JT_TIME_TEXT], *text;
	json_t *o = json_object();
	int e;

	jt_time_format(r->token.expires_s, expires);
	json_object_set_new(o, "id", jt_json_text(r->token.id, JT_ID_BYTES));
	json_object_set_new(o, "token", json_stringn(c->token, JT_TOKEN_BYTES));
	json_object_set_new(o, "name",
			    jt_json_text(r->token.name, JT_NAME_MAX));
	json_object_set_new(o, "expires", json_string(expires));
	json_object_set_new(o, "receipt", json_string(receipt));
	json_object_set_new(o, "in_force",
			    json_boolean(c->force == JT_FORCE_NOW));
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (!text)
		return -ENOMEM;
	e = jt_write_all(STDOUT_FILENO, text, strlen(text));
	if (e == 0)
		e = jt_write_all(STDOUT_FILENO, "\n", 1);
	jt_wiping_free(text);
	return e;
}

/* Revoke the new token, unless somebody has ended it since. */
static int revoke_undelivered(struct create *c, struct jt_change *undo)
{
	const struct jt_record *r = last_record(c);
	struct jt_fault fault = {0};
	static struct jt_found f;
	int e = jt_lookup(&undo->journal, &undo->control, r->token.id, &f,
			  &fault);

	if (e)
		return jt_journal_refusal(e, &fault);
	if (f.exists && f.newest.type != JT_REC_REVOKE)
		return jt_change_revoke(undo, &f.newest);
	jt_change_keep(undo);
	return 0;
}

/* The value could not be delivered: nobody shall ever use it. */
static int take_back(struct create *c, int error)
{
	const struct jt_record *r = last_record(c);
	struct jt_record dead = *r;
	struct jt_change undo;
	enum jt_force force;
	int e = jt_change_begin(&undo, &c->cmd->paths);

	if (e == 0)
		e = revoke_undelivered(c, &undo);
	if (e) {
		jt_change_end(&undo);
		return jt_fail(JT_EXIT_FILE,
			       "the value could not be written to stdout (%s) "
			       "and not be revoked; run `jeton revoke %.24s`",
			       strerror(-error), r->token.id);
	}
	force = jt_change_settle(&undo);
	jt_change_end(&undo);
	dead.type = JT_REC_REVOKE;
	jt_vault_forget(&c->cmd->paths, &dead, 1);
	return jt_fail(JT_EXIT_FILE,
		       "stdout did not take the value (%s), so %.24s was "
		       "revoked%s; run create again, perhaps with --out FILE",
		       strerror(-error), r->token.id,
		       force == JT_FORCE_NOT ? ", which is NOT in force yet"
					     : "");
}

static int deliver(struct create *c, const char *receipt)
{
	int e;

	if (c->to_file)
		return jt_outfile_publish(&c->out);
	e = c->cmd->json
		    ? print_json(c, receipt)
		    : jt_write_all(STDOUT_FILENO, c->token, sizeof(c->token));
	if (e == 0)
		e = jt_stdout_close();
	return e ? take_back(c, e) : 0;
}

static size_t n_created(const struct create *c)
{
	return c->issue.n - c->issue.n_defs;
}

/* Values went to a file: stdout gets what a script wants to know. */
static void print_summary(const struct create *c, const char *receipt)
{
	json_t *o = json_object();

	json_object_set_new(o, "created",
			    json_integer((json_int_t)n_created(c)));
	json_object_set_new(o, "out", jt_json_text(c->out.path, SIZE_MAX));
	json_object_set_new(o, "receipt", json_string(receipt));
	json_object_set_new(o, "in_force",
			    json_boolean(c->force == JT_FORCE_NOW));
	jt_put_json(stdout, o);
}

/* Everything that is not the value, on stderr. */
static void report(const struct create *c, const char *receipt)
{
	const struct jt_record *r = last_record(c);
	char until[JT_TIME_TEXT];

	if (c->cmd->args.from) {
		jt_note("tokens created: %zu; their values are in %s",
			n_created(c), c->out.path);
	} else {
		jt_time_format(r->token.expires_s, until);
		jt_note("created %.24s, it works until %s", r->token.id, until);
	}
	jt_note("receipt %s", receipt);
	if (c->force == JT_FORCE_LATER)
		jt_note("recorded; takes effect when the sidecar starts");
	if (c->cmd->args.recoverable)
		jt_note("`jeton copy ID` gives a value out again, to who knows "
			"the vault's passphrase");
	else
		jt_note("a value is given out only this once: put it into a "
			"secret manager or an environment variable, never into "
			"code");
}

static int run(struct create *c)
{
	char receipt[JT_RECEIPT_MAX];
	int e = jt_issue_rules(&c->issue, &c->cmd->paths);

	if (e == 0)
		e = gather(c);
	if (e == 0)
		e = jt_issue_open(&c->issue, &c->cmd->paths);
	if (e == 0 && c->cmd->args.recoverable)
		e = jt_issue_recoverable(&c->issue, &c->cmd->paths);
	if (e == 0 && c->to_file)
		e = jt_outfile_open(&c->out, c->cmd->args.out);
	if (e == 0)
		e = make_values(c);
	if (e == 0)
		e = jt_issue_commit(&c->issue, &c->change, &c->cmd->paths);
	if (e) {
		jt_outfile_discard(&c->out);
		return e;
	}
	c->force = jt_change_settle(&c->change);
	jt_receipt_format(&c->change.done, receipt);
	e = deliver(c, receipt);
	if (e)
		return e;
	if (c->cmd->json && c->to_file)
		print_summary(c, receipt);
	else if (!c->cmd->json)
		report(c, receipt);
	return c->force == JT_FORCE_NOT ? JT_EXIT_SIDECAR : 0;
}

static int check(const struct jt_cmd *cmd)
{
	const struct jt_args *a = &cmd->args;

	if (a->from && cmd->n_operands)
		return jt_fail(JT_EXIT_USAGE,
			       "create takes a NAME or --from, not both");
	if (!a->from && !cmd->n_operands)
		return jt_fail(JT_EXIT_USAGE, "create needs a NAME or --from "
					      "FILE.csv; see `jeton help "
					      "create`");
	if (a->from && !a->out)
		return jt_fail(JT_EXIT_USAGE,
			       "create --from needs --out FILE for the values");
	if (!a->out && cmd->stdout_closed)
		return jt_fail(JT_EXIT_FILE,
			       "stdout is closed, nothing was created; open it "
			       "or use --out FILE");
	return 0;
}

int jt_cmd_create(const struct jt_cmd *cmd)
{
	const struct rlimit none = {0, 0};
	struct create *c;
	int e = check(cmd);

	if (e)
		return e;
	/* values pass through this memory: no core file, no debugger */
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	c = calloc(1, sizeof(*c));
	if (!c || jt_issue_init(&c->issue) != 0) {
		free(c);
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	}
	c->cmd = cmd;
	c->to_file = cmd->args.out != NULL;
	c->change.control.fd = -1;
	c->out.dir_fd = -1;
	e = run(c);
	jt_change_end(&c->change);
	jt_issue_deinit(&c->issue);
	sodium_memzero(c, sizeof(*c));
	free(c);
	return e;
}
