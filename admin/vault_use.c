/* vault_use: see vault_use.h. */
#include "admin/vault_use.h"
#include "admin/output.h"
#include "admin/place.h"

#include <errno.h>

#define LOCK_WAIT_MS 2000u

int jt_vault_refusal(int e, const struct jt_fault *fault)
{
	const char *remedy = "";

	if (e == JT_JOURNAL_E_NONE)
		remedy = "; run `jeton vault init` first";
	else if (e == JT_VAULT_E_MISSING)
		remedy = "; put back a newer copy of the vault, or revoke the "
			 "token and create another";
	else if (e == -EACCES || e == -EPERM)
		remedy = "; run jeton as the owner of the data directory";
	return jt_fail(e == JT_VAULT_E_PASSPHRASE ? JT_EXIT_NO : JT_EXIT_FILE,
		       "%s%s", fault->line, remedy);
}

/* Can it have ended a value that the vault holds? */
static bool concerns(const struct jt_record *r)
{
	switch (r->type) {
	case JT_REC_ROTATE: /* the value before it may have been recoverable */
		return true;
	case JT_REC_REVOKE:
	case JT_REC_PURGE:
		return (r->token.flags & JT_TOKEN_RECOVERABLE) != 0;
	default:
		return false;
	}
}

static int wipe(const struct jt_paths *paths, const struct jt_record *records,
		size_t n, struct jt_fault *faultp)
{
	struct jt_vault vault;
	struct jt_journal j;
	int rc = jt_journal_open_write(&j, &jt_io_os, paths->data, LOCK_WAIT_MS,
				       faultp);

	if (rc)
		return rc;
	rc = jt_vault_open(&vault, &j, paths->data, faultp);
	if (rc == 0) {
		rc = jt_vault_wipe(&vault, &j, records, n, NULL, faultp);
		jt_vault_close(&vault);
	}
	jt_journal_close(&j);
	return rc;
}

static bool is_there(const struct jt_paths *paths)
{
	struct jt_place p;
	int has;

	if (jt_place_open(&p, &jt_io_os, paths->data, NULL) != 0)
		return true; /* let the wipe say what is wrong */
	has = jt_place_has(&p, JT_VAULT_NAME);
	p.io->close(p.fd);
	return has != 0;
}

void jt_vault_forget(const struct jt_paths *paths,
		     const struct jt_record *records, size_t n)
{
	struct jt_fault fault = {0};
	size_t first = 0;

	while (first < n && !concerns(&records[first]))
		first++;
	if (first == n || !is_there(paths))
		return;
	if (wipe(paths, records + first, n - first, &fault) != 0)
		jt_note("recorded, but %s/%s still holds the sealed value "
			"(%s); to wipe it, revoke the token once more",
			paths->data, JT_VAULT_NAME, fault.line);
}
