/*
 * jeton vault init: a key pair for values that may be read again.
 *
 * The passphrase is asked for, and its key made, before the lock is taken:
 * nobody's revoke waits for somebody who types.
 */
#include "admin/change.h"
#include "admin/cmd.h"
#include "admin/passphrase.h"
#include "admin/place.h"
#include "admin/vault_use.h"

#include <string.h>

/* Not after a long wait for a passphrase that is not needed. */
static int check_absent(const struct jt_paths *paths)
{
	struct jt_fault fault = {0};
	struct jt_place p;
	int has, e = jt_place_open(&p, &jt_io_os, paths->data, &fault);

	if (e)
		return jt_journal_refusal(e, &fault);
	has = jt_place_has(&p, JT_VAULT_NAME);
	p.io->close(p.fd);
	if (has <= 0)
		return 0; /* what is wrong the journal's lock will tell */
	return jt_fail(JT_EXIT_FILE,
		       "%s/%s: there is one already, and it stays as it is",
		       paths->data, JT_VAULT_NAME);
}

static int check_journal(const struct jt_paths *paths)
{
	struct jt_fault fault = {0};
	struct jt_journal j;
	int e = jt_journal_open(&j, &jt_io_os, paths->data, &fault);

	if (e)
		return jt_journal_refusal(e, &fault);
	jt_journal_close(&j);
	return 0;
}

static int make_key(const struct jt_cmd *cmd, struct jt_vault_key *k)
{
	struct jt_passphrase *p;
	int e = jt_passphrase_get(cmd->args.passphrase_file, true, &p);

	if (e)
		return e;
	e = jt_vault_key_make(k, p->text, p->bytes, &jt_vault_cost);
	jt_passphrase_free(p);
	return e ? jt_fail(JT_EXIT_FILE,
			   "not enough memory: a vault takes %u MiB for a "
			   "moment",
			   (unsigned)(jt_vault_cost.memory_bytes >> 20))
		 : 0;
}

static int make(const struct jt_cmd *cmd, const struct jt_vault_key *k)
{
	struct jt_fault fault = {0};
	struct jt_change c;
	int e = jt_change_begin(&c, &cmd->paths);

	if (e)
		return e;
	e = jt_vault_init(&c.journal, cmd->paths.data, k, &fault);
	jt_change_end(&c);
	return e ? jt_vault_refusal(e, &fault) : 0;
}

int jt_cmd_vault_init(const struct jt_cmd *cmd)
{
	char path[PATH_MAX + sizeof("/" JT_VAULT_NAME)];
	struct jt_vault_key key;
	struct jt_sheet s;
	int e = check_journal(&cmd->paths);

	if (e == 0)
		e = check_absent(&cmd->paths);
	if (e == 0)
		e = make_key(cmd, &key);
	if (e == 0)
		e = make(cmd, &key);
	if (e)
		return e;
	snprintf(path, sizeof(path), "%s/%s", cmd->paths.data, JT_VAULT_NAME);
	jt_sheet_begin(&s, cmd->json);
	jt_sheet_text(&s, "vault", "Vault", path, NULL);
	jt_sheet_end(&s);
	jt_note("only the passphrase opens it, and nobody can set another: "
		"keep it where it outlives you");
	return 0;
}
