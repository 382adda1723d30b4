/*
 * vault_use: the vault as verbs meet it: exit codes, and reasons printed.
 */
#ifndef JT_ADMIN_VAULT_USE_H
#define JT_ADMIN_VAULT_USE_H

#include "admin/paths.h"
#include "admin/vault.h"

/* The vault refused with E: prints why and what to do; an exit code. */
int jt_vault_refusal(int e, const struct jt_fault *fault);

/*
 * Wipe what these committed records have ended (jt_vault_wipe() says which).
 * For every verb that revokes, purges or rotates: after its commit is settled,
 * with the journal's lock no longer held. It takes the lock itself, and only
 * when there is a vault and one of the records can have a value in it. That it
 * fails is a warning and no more: the records stand.
 */
void jt_vault_forget(const struct jt_paths *paths,
		     const struct jt_record *records, size_t n);

#endif
