/*
 * jeton copy: a value once more, for who knows the vault's passphrase.
 *
 * What can be refused is refused before the passphrase is asked for, and the
 * passphrase is tried before the lock is taken. Under the lock the token is
 * looked up again: it must be the one whose value was read. That it is read is
 * committed first and printed afterwards, so no value leaves without a trace.
 */
#include "admin/change.h"
#include "admin/cmd.h"
#include "admin/lookup.h"
#include "admin/passphrase.h"
#include "admin/vault_use.h"
#include "shm/token.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

struct copy {
	const struct jt_cmd *cmd;
	struct jt_found found;
	struct jt_commit done;
	struct jt_vault vault;
	char value[JT_TOKEN_BYTES + 1]; /* and '\n' */
};

static int look_up(struct jt_journal *j, struct jt_control *control,
		   const char *id, struct jt_found *f)
{
	struct jt_fault fault = {0};
	int e = jt_lookup(j, control, id, f, &fault);

	if (e)
		return jt_journal_refusal(e, &fault);
	if (!f->exists)
		return jt_no_such_id(id);
	if (f->newest.type == JT_REC_REVOKE)
		return jt_fail(JT_EXIT_NO,
			       "%.24s is revoked, nobody can use its value; "
			       "create another token",
			       id);
	if (!jt_card_recoverable(&f->card))
		return jt_fail(JT_EXIT_NO,
			       "the value of %.24s was not stored; only tokens "
			       "made with `jeton create --recoverable` can be "
			       "copied: create another one so",
			       id);
	return 0;
}

/* The token, and a vault that has its value. */
static int open_vault(struct copy *c)
{
	const struct jt_paths *paths = &c->cmd->paths;
	const struct jt_record_token *t = &c->found.newest.token;
	struct jt_fault fault = {0};
	struct jt_control control;
	struct jt_journal j;
	int e = jt_journal_open(&j, &jt_io_os, paths->data, &fault);

	if (e)
		return jt_journal_refusal(e, &fault);
	/* without a keeper the journal answers */
	(void)jt_control_connect(&control, paths->data, JT_CONTROL_WAIT_MS);
	e = look_up(&j, &control, c->cmd->operands[0], &c->found);
	jt_control_close(&control);
	if (e == 0) {
		e = jt_vault_open(&c->vault, &j, paths->data, &fault);
		if (e == 0)
			e = jt_vault_has(&c->vault, t->id, t->digest, &fault);
		if (e)
			e = jt_vault_refusal(e, &fault);
	}
	jt_journal_close(&j);
	return e;
}

static int read_value(struct copy *c)
{
	const struct jt_record_token *t = &c->found.newest.token;
	struct jt_fault fault = {0};
	struct jt_passphrase *p;
	int e = jt_passphrase_get(c->cmd->args.passphrase_file, false, &p);

	if (e)
		return e;
	e = jt_vault_get(&c->vault, t->id, t->digest, p->text, p->bytes,
			 c->value, &fault);
	jt_passphrase_free(p);
	c->value[JT_TOKEN_BYTES] = '\n';
	return e ? jt_vault_refusal(e, &fault) : 0;
}

/* Commit that it was read, if it still is the value that it was. */
static int record(struct copy *c)
{
	struct jt_record r = {.type = JT_REC_COPY};
	struct jt_change change;
	struct jt_found now;
	int e = jt_change_begin(&change, &c->cmd->paths);

	if (e)
		return e;
	e = look_up(&change.journal, &change.control, c->cmd->operands[0],
		    &now);
	if (e == 0 && memcmp(now.newest.token.digest,
			     c->found.newest.token.digest, JT_DIGEST_BYTES))
		e = jt_fail(JT_EXIT_NO, "the token has another value since a "
					"moment; try again");
	if (e == 0) {
		memcpy(r.env, now.newest.env, sizeof(r.env));
		r.token = now.newest.token;
		e = jt_change_commit(&change, &r, 1);
		c->done = change.done;
	}
	jt_change_end(&change);
	return e;
}

static int print_json(const struct copy *c, const char *receipt)
{
	json_t *o = json_object();
	char *text;
	int e;

	json_object_set_new(o, "id", jt_json_text(c->value, JT_ID_BYTES));
	json_object_set_new(o, "token", json_stringn(c->value, JT_TOKEN_BYTES));
	json_object_set_new(o, "receipt", json_string(receipt));
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

static int deliver(const struct copy *c)
{
	char receipt[JT_RECEIPT_MAX];
	int e;

	jt_receipt_format(&c->done, receipt);
	e = c->cmd->json
		    ? print_json(c, receipt)
		    : jt_write_all(STDOUT_FILENO, c->value, sizeof(c->value));
	if (e == 0)
		e = jt_stdout_close();
	if (e)
		return jt_fail(JT_EXIT_FILE,
			       "stdout did not take the value (%s); it is "
			       "recorded as copied",
			       strerror(-e));
	if (!c->cmd->json)
		jt_note("copied %.24s; receipt %s", c->cmd->operands[0],
			receipt);
	return 0;
}

static int run(struct copy *c)
{
	int e = jt_id_check(c->cmd->operands[0]);

	if (e == 0 && c->cmd->stdout_closed)
		return jt_fail(JT_EXIT_FILE, "stdout is closed, nothing was "
					     "copied; open it");
	if (e == 0)
		e = open_vault(c);
	if (e == 0)
		e = read_value(c);
	if (e == 0)
		e = record(c);
	return e ? e : deliver(c);
}

int jt_cmd_copy(const struct jt_cmd *cmd)
{
	struct copy *c = sodium_malloc(sizeof(*c));
	int e;

	if (!c)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	memset(c, 0, sizeof(*c));
	c->cmd = cmd;
	c->vault.fd = -1;
	e = run(c);
	jt_vault_close(&c->vault);
	sodium_free(c);
	return e;
}
