/*
 * issue: new tokens, one or a million, as one commit.
 *
 *   rules   what the deployment allows
 *   add     what each shall be; limits, scopes and owners are gathered
 *   open    find the journal's prefix, making the journal if there is none
 *   recoverable   if the vault shall hold the values
 *   make    a value for each, which the caller writes where it belongs; or
 *   adopt   another system's value, of which only the digest is known
 *   commit  plans and tokens in one batch, if the sidecar has room for them
 *
 * Values are made before the lock is taken: writing and syncing a large --out
 * file must not keep a revoke waiting. One process, one thread; 256 bytes a
 * token.
 */
#ifndef JT_ADMIN_ISSUE_H
#define JT_ADMIN_ISSUE_H

#include "admin/change.h"
#include "admin/distinct.h"
#include "admin/draft.h"
#include "admin/vault.h"
#include "shm/token.h"

#define JT_PREFIX_DEFAULT "jt"
#define JT_ISSUE_MAX 4000000u /* tokens in one commit: 1 GB of memory */

enum {
	JT_ISSUE_E_MANY = 1, /* more than JT_ISSUE_MAX */
	JT_ISSUE_E_LIMITS,   /* more than 65,535 different limits or plans */
	JT_ISSUE_E_SETS,     /* more than 8,191 different scope lists */
};

struct jt_issue {
	/* own, plan, scope_set hold a place in these until commit() */
	struct jt_record *records;
	size_t n, n_max;
	size_t n_defs; /* after commit: definitions in front */
	struct jt_distinct limits, plans, sets;
	uint64_t *owners;     /* hashes of owners already counted */
	uint64_t owner_bytes; /* pool room that they want at most */
	char prefix[8];
	uint8_t journal_id[16];
	struct jt_record_rules rules;
	/* all tokens up to the lock, if the caller has folded them; or NULL */
	const struct jt_catalog *catalog;
	/* with recoverable(): of each token; NULL: none is stored */
	uint8_t (*sealed)[JT_VAULT_SEALED_BYTES];
	uint8_t vault_key[JT_VAULT_PUBLIC_BYTES];
};

int jt_issue_init(struct jt_issue *s);
void jt_issue_deinit(struct jt_issue *s);

/* 0, -ENOMEM or JT_ISSUE_E_*. */
int jt_issue_add(struct jt_issue *s, const struct jt_draft *d);

/* Before the first add: the rules, if there is a journal. Exit code. */
int jt_issue_rules(struct jt_issue *s, const struct jt_paths *paths);

/* Find the prefix, making the journal if there is none. Exit code. */
int jt_issue_open(struct jt_issue *s, const struct jt_paths *paths);

/*
 * Every value is to be stored in the vault, too: between open() and make().
 * Exit code, reason printed, when there is no vault.
 */
int jt_issue_recoverable(struct jt_issue *s, const struct jt_paths *paths);

/* Make token I; the value is in OUT alone, but for its sealed form. */
void jt_issue_make(struct jt_issue *s, size_t i, char out[JT_TOKEN_BYTES]);

/* Token I has the value that DIGEST is of, under enum jt_value_scheme. */
void jt_issue_adopt(struct jt_issue *s, size_t i,
		    const uint8_t digest[JT_DIGEST_BYTES], uint8_t scheme);

/*
 * Lock, check room, commit, unlock; C is begun here and always to be ended by
 * the caller. Exit code, reason printed. Afterwards new definitions stand in
 * front of the tokens: the last record is still the last token's.
 */
int jt_issue_commit(struct jt_issue *s, struct jt_change *c,
		    const struct jt_paths *paths);

/*
 * The same in steps, for who looks at the journal under the lock: lock; give
 * everything its number and check room; then jt_change_commit() the records.
 */
int jt_issue_lock(struct jt_issue *s, struct jt_change *c,
		  const struct jt_paths *paths);
int jt_issue_resolve(struct jt_issue *s, struct jt_change *c);

#endif
