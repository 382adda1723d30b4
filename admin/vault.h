/*
 * vault: values that may be read again, sealed under a passphrase.
 *
 * File `vault` beside the journal; format essay at the top of vault.c. Opt-in:
 * it exists once jt_vault_init() made it, and holds only values that were put.
 * To put one, the public half of a key pair is enough; to read one, the secret
 * half, which only the passphrase opens. The sidecar never opens this file.
 *
 * WHO MAY. Writing (init, put, wipe) takes a journal that is open for writing:
 * its lock is the vault's. Reading needs no lock. One process, one thread.
 *
 * Results: 0 ok; negative errno = the system refused; JT_VAULT_E_* below, or
 * JT_JOURNAL_E_NONE (no vault here), _DAMAGED, _VERSION, _UNSAFE, _EXISTS,
 * which mean the same as for a journal. `faultp` receives a printable line.
 */
#ifndef JT_ADMIN_VAULT_H
#define JT_ADMIN_VAULT_H

#include "admin/journal.h"
#include "shm/token.h"

#define JT_VAULT_NAME "vault"
#define JT_VAULT_PUBLIC_BYTES 32u
#define JT_VAULT_SEALED_BYTES 112u /* crypto_box_seal() of a value */

enum {
	JT_VAULT_E_FOREIGN = 64, /* it belongs to another journal */
	JT_VAULT_E_PASSPHRASE,	 /* the passphrase is another one */
	JT_VAULT_E_MISSING,	 /* no entry for that value */
};

/* What guessing one passphrase costs (Argon2id). */
struct jt_vault_cost {
	uint64_t passes;
	uint64_t memory_bytes;
};
extern const struct jt_vault_cost jt_vault_cost; /* what verbs use */

/* A key pair as it lies in the file: nothing in it is secret. */
struct jt_vault_key {
	uint8_t public_key[JT_VAULT_PUBLIC_BYTES];
	uint8_t salt[16];
	uint64_t passes;
	uint64_t memory_bytes;
	uint32_t algorithm;
	uint32_t zero;
	uint8_t nonce[24];
	uint8_t sealed_key[48];
};

struct jt_vault {
	const struct jt_io *io;
	int fd;
	struct jt_vault_key key;
	uint64_t bytes; /* of the file */
};

/*
 * A new pair, its secret half under PASSPHRASE. Takes a second and much
 * memory, so call it before the lock is taken. 0 or -ENOMEM.
 */
int jt_vault_key_make(struct jt_vault_key *k, const char *passphrase,
		      size_t bytes, const struct jt_vault_cost *cost);

/* Make the vault of J, whose directory is DIR: whole and synced, or not. */
int jt_vault_init(const struct jt_journal *j, const char *dir,
		  const struct jt_vault_key *k, struct jt_fault *faultp);

/*
 * Open the vault of J for reading, or for writing when J is. J may be closed
 * before V. Page 0 is checked in full, no passphrase is needed.
 */
int jt_vault_open(struct jt_vault *v, const struct jt_journal *j,
		  const char *dir, struct jt_fault *faultp);
void jt_vault_close(struct jt_vault *v);

/* Seal a value to the public half: 0.1 ms, no I/O, no lock. */
void jt_vault_seal(const uint8_t public_key[JT_VAULT_PUBLIC_BYTES],
		   const char value[JT_TOKEN_BYTES],
		   uint8_t sealed[JT_VAULT_SEALED_BYTES]);

/* Does a batch with this record have a sealed value for it? */
bool jt_vault_wants(const struct jt_record *r);

/*
 * Store the values of a batch, durably, before it is appended. RECORDS are the
 * very records that jt_journal_append() gets next under this same lock; SEALED
 * holds one value for each that jt_vault_wants(), in their order. If that
 * commit never comes, what was stored counts for nothing and its place is used
 * again.
 */
int jt_vault_put(struct jt_vault *v, const struct jt_journal *j,
		 const struct jt_record *records, size_t n,
		 const uint8_t (*sealed)[JT_VAULT_SEALED_BYTES],
		 struct jt_fault *faultp);

/* Is there a sound entry for this very value? 0 or JT_VAULT_E_MISSING, .. */
int jt_vault_has(const struct jt_vault *v, const char id[JT_ID_BYTES],
		 const uint8_t digest[JT_DIGEST_BYTES],
		 struct jt_fault *faultp);

/*
 * The value whose digest the journal has. Argon2id runs only after everything
 * that costs nothing has been checked. VALUE is written only on 0; let it be
 * memory that is wiped.
 */
int jt_vault_get(const struct jt_vault *v, const char id[JT_ID_BYTES],
		 const uint8_t digest[JT_DIGEST_BYTES], const char *passphrase,
		 size_t bytes, char value[JT_TOKEN_BYTES],
		 struct jt_fault *faultp);

/*
 * Overwrite what N committed records have ended: for a REVOKE or PURGE every
 * entry of the id, for a ROTATE those older than the record (by its number);
 * other types are passed over. *WIPEDP (may be NULL) counts. Harmless again.
 */
int jt_vault_wipe(struct jt_vault *v, const struct jt_journal *j,
		  const struct jt_record *records, size_t n, size_t *wipedp,
		  struct jt_fault *faultp);

#endif
