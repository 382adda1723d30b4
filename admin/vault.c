/*
 * vault: the format, and who may change what when.
 *
 *	byte 0	    4096      4352	4608
 *	+-----------+---------+---------+-- ~ --+
 *	|  page 0   | entry 0 | entry 1 |  ...  |
 *	+-----------+---------+---------+-- ~ --+
 *
 * Page 0, written once, under a temporary name:
 *	   0  magic "jetonvlt"		   8  version, 12  4096
 *	  16  journal id		  32  public key (X25519)
 *	  64  Argon2id: salt		  80  passes	  88  bytes of memory
 *	  96  algorithm (2: Argon2id 1.3) 100  zeros
 *	 104  nonce
 *	 128  secret key, crypto_secretbox() under the Argon2id key: 16 + 32
 *	 176  zeros
 *	4080  BLAKE2b-128 of bytes 0-4079
 *
 * Entry: 256 bytes, so that none straddles two sectors:
 *	   0  magic "jetonval"		   8  number of a journal record
 *	  16  id of the token		  40  digest of the value
 *	  72  crypto_box_seal(value): 48 + 64
 *	 184  zeros
 *	 240  BLAKE2b-128 of bytes 0-239, salted with half the public key: an
 *	      entry of another vault is none here
 * 256 zero bytes are a free place.
 *
 * WHAT COUNTS. The journal says which value a token has (its digest) and that
 * the vault holds it (JT_TOKEN_RECOVERABLE); this file only answers. An entry
 * whose digest is not the token's is never given out, and a value that does
 * not have the digest is not either: so whoever can write here can take values
 * away, but not put one in another's place.
 *
 * WRITER, under the journal's lock: entries into free places or behind the
 * last, one fdatasync, then the journal's commit. The number in an entry is
 * the one that its record is going to bear: the same lock makes it certain.
 *   - A crash or a full disk before that commit leaves ORPHANS: entries whose
 *     number is beyond the journal's commit or belongs to another record. They
 *     belong to no token, so nobody is given them, and the next put may write
 *     over them. It looks at SWEEP_MAX places a time, from a random one on when
 *     there are more, which finds all of them sooner or later. Numbers that a
 *     compaction has put out of reach count as taken.
 *   - An entry lies within a sector, and a write changes one entry: its
 *     neighbours are as they were, whatever becomes of it. A place that is
 *     neither free nor sound is damage and is never written over, but for
 *     part of an entry at the end of the file: an append that was cut short.
 *   - A failed fdatasync fails the create. The next put writes those orphans
 *     anew, so nothing is believed that only the page cache holds.
 * READER, without lock: a committed entry is changed by nobody but who ends its
 * token. What is being written beside it does not verify or is not asked for.
 *
 * WIPING writes zeros over the entry, then fdatasync. That is what a file can
 * do: this file does not hold the value any more. On flash (wear levelling), on
 * file systems that copy on write (btrfs, ZFS, snapshots) and in backups older
 * bytes go on existing. What protects those is the passphrase, and that a value
 * is wiped because it has stopped being worth anything. After a crash between
 * a revoke and its wipe the sealed value stays until the id is revoked again.
 *
 * HOSTILE BYTES. Sizes are compared before they are used, the cost of Argon2id
 * is bounded before it is paid, and it is paid last. The public half cannot be
 * checked without the passphrase; jt_vault_get() does so, and notices one that
 * was exchanged. Checksums are against accidents.
 */
#include "admin/inner.h"
#include "admin/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define VAULT_NEW_NAME "vault.new"
#define VERSION 1u
#define ENTRY_BYTES 256u
#define CHUNK 64u /* entries in one read or write */
#define SWEEP_MAX 4096u
#define ENTRIES_MAX (UINT64_C(1) << 24)
#define PASSES_MAX 8u
#define MEMORY_MIN 8192u
#define MEMORY_MAX (UINT64_C(1) << 30)

struct page {
	char magic[8];
	uint32_t version;
	uint32_t page_bytes;
	uint8_t journal_id[16];
	struct jt_vault_key key;
	uint8_t zero[3904];
	uint8_t checksum[16];
};

struct entry {
	char magic[8];
	uint64_t number;
	char id[JT_ID_BYTES];
	uint8_t digest[JT_DIGEST_BYTES];
	uint8_t sealed[JT_VAULT_SEALED_BYTES];
	uint8_t zero[56];
	uint8_t checksum[16];
};

static_assert(offsetof(struct jt_vault_key, salt) == 64 - 32, "salt");
static_assert(offsetof(struct jt_vault_key, passes) == 80 - 32, "passes");
static_assert(offsetof(struct jt_vault_key, memory_bytes) == 88 - 32, "memory");
static_assert(offsetof(struct jt_vault_key, algorithm) == 96 - 32, "algorithm");
static_assert(offsetof(struct jt_vault_key, nonce) == 104 - 32, "nonce");
static_assert(offsetof(struct jt_vault_key, sealed_key) == 128 - 32, "key");
static_assert(offsetof(struct page, key) == 32, "page key");
static_assert(offsetof(struct page, zero) == 176, "page zeros");
static_assert(offsetof(struct page, checksum) == 4080, "page checksum");
static_assert(sizeof(struct page) == JT_PAGE_BYTES, "page");
static_assert(offsetof(struct entry, id) == 16, "entry id");
static_assert(offsetof(struct entry, digest) == 40, "entry digest");
static_assert(offsetof(struct entry, sealed) == 72, "entry value");
static_assert(offsetof(struct entry, zero) == 184, "entry zeros");
static_assert(offsetof(struct entry, checksum) == 240, "entry checksum");
static_assert(sizeof(struct entry) == ENTRY_BYTES, "entry");
static_assert(JT_VAULT_SEALED_BYTES == crypto_box_SEALBYTES + JT_TOKEN_BYTES,
	      "sealed value");
static_assert(crypto_box_PUBLICKEYBYTES == JT_VAULT_PUBLIC_BYTES, "key");
static_assert(crypto_secretbox_MACBYTES + crypto_box_SECRETKEYBYTES == 48,
	      "sealed secret key");

static const char page_magic[8] = "jetonvlt";
static const char entry_magic[8] = "jetonval";
static const uint8_t page_domain[16] = "jeton vault";
static const uint8_t entry_domain[16] = "jeton value";

const struct jt_vault_cost jt_vault_cost = {
	.passes = crypto_pwhash_OPSLIMIT_MODERATE,
	.memory_bytes = crypto_pwhash_MEMLIMIT_MODERATE,
};

static void hash(uint8_t out[16], const void *bytes, size_t n,
		 const uint8_t *salt, const uint8_t domain[16])
{
	int rc = crypto_generichash_blake2b_salt_personal(
		out, 16, bytes, n, NULL, 0, salt, domain);

	assert(rc == 0);
	(void)rc;
}

static int damaged(struct jt_fault *faultp, uint64_t offset, const char *why)
{
	return jt_fault_set(faultp, JT_JOURNAL_E_DAMAGED, 0, offset,
			    "vault damaged at byte %" PRIu64
			    ": %s; put back a backup of it",
			    offset, why);
}

/* A call on the open vault failed: name call and reason, forward RC. */
static int failed(struct jt_fault *faultp, int rc, const char *what)
{
	return jt_fault_set(faultp, rc, 0, 0, "vault: cannot %s: %s", what,
			    strerrordesc_np(-rc));
}

static uint64_t offset_of(uint64_t place)
{
	return JT_PAGE_BYTES + ENTRY_BYTES * place;
}

/* ---- the key pair ---- */

/* What is wiped: the key that the passphrase gives, and the secret half. */
struct secrets {
	uint8_t key[crypto_secretbox_KEYBYTES];
	uint8_t half[crypto_box_SECRETKEYBYTES];
};

static int derive(const struct jt_vault_key *k, const char *passphrase,
		  size_t bytes, struct secrets *s)
{
	int rc = crypto_pwhash(s->key, sizeof(s->key), passphrase, bytes,
			       k->salt, k->passes, (size_t)k->memory_bytes,
			       (int)k->algorithm);

	return rc == 0 ? 0 : -ENOMEM;
}

int jt_vault_key_make(struct jt_vault_key *k, const char *passphrase,
		      size_t bytes, const struct jt_vault_cost *cost)
{
	struct secrets *s = sodium_malloc(sizeof(*s));
	int rc;

	if (s == NULL)
		return -ENOMEM;
	*k = (struct jt_vault_key){
		.passes = cost->passes,
		.memory_bytes = cost->memory_bytes,
		.algorithm = crypto_pwhash_ALG_ARGON2ID13,
	};
	randombytes_buf(k->salt, sizeof(k->salt));
	randombytes_buf(k->nonce, sizeof(k->nonce));
	crypto_box_keypair(k->public_key, s->half);
	rc = derive(k, passphrase, bytes, s);
	if (rc == 0)
		crypto_secretbox_easy(k->sealed_key, s->half, sizeof(s->half),
				      k->nonce, s->key);
	sodium_free(s);
	return rc;
}

static bool cost_ok(const struct jt_vault_key *k)
{
	return k->algorithm == crypto_pwhash_ALG_ARGON2ID13 && k->zero == 0 &&
	       k->passes >= 1 && k->passes <= PASSES_MAX &&
	       k->memory_bytes >= MEMORY_MIN && k->memory_bytes <= MEMORY_MAX;
}

/* The secret half, if PASSPHRASE opens it and it is that of the public one. */
static int open_key(const struct jt_vault_key *k, const char *passphrase,
		    size_t bytes, struct secrets *s, struct jt_fault *faultp)
{
	uint8_t public_key[JT_VAULT_PUBLIC_BYTES];
	int rc = derive(k, passphrase, bytes, s);

	if (rc != 0)
		return jt_fault_set(faultp, rc, 0, 0,
				    "not enough memory: to try a passphrase "
				    "takes %" PRIu64 " MiB",
				    k->memory_bytes >> 20);
	if (crypto_secretbox_open_easy(s->half, k->sealed_key,
				       sizeof(k->sealed_key), k->nonce,
				       s->key) != 0)
		return jt_fault_set(faultp, JT_VAULT_E_PASSPHRASE, 0, 0,
				    "that is not the passphrase of the vault");
	crypto_scalarmult_base(public_key, s->half);
	if (memcmp(public_key, k->public_key, sizeof(public_key)) != 0)
		return damaged(faultp, offsetof(struct page, key),
			       "its public key was exchanged, values put since "
			       "cannot be read");
	return 0;
}

/* ---- page 0 ---- */

static void page_make(struct page *p, const struct jt_journal *j,
		      const struct jt_vault_key *k)
{
	*p = (struct page){
		.version = VERSION,
		.page_bytes = JT_PAGE_BYTES,
		.key = *k,
	};
	memcpy(p->magic, page_magic, sizeof(p->magic));
	memcpy(p->journal_id, j->id, sizeof(p->journal_id));
	hash(p->checksum, p, offsetof(struct page, checksum), NULL,
	     page_domain);
}

static int page_check(const struct page *p, const uint8_t journal_id[16],
		      struct jt_fault *faultp)
{
	uint8_t sum[16];

	if (memcmp(p->magic, page_magic, sizeof(p->magic)) != 0)
		return damaged(faultp, 0, "it does not begin like a vault");
	if (p->version != VERSION)
		return jt_fault_set(faultp, JT_JOURNAL_E_VERSION, 0, 8,
				    "vault: its format version is not %u, but "
				    "%" PRIu32 "; a newer jeton may read it",
				    VERSION, p->version);
	hash(sum, p, offsetof(struct page, checksum), NULL, page_domain);
	if (memcmp(sum, p->checksum, sizeof(sum)) != 0)
		return damaged(faultp, 0,
			       "the checksum of its page 0 is "
			       "wrong");
	if (p->page_bytes != JT_PAGE_BYTES || !cost_ok(&p->key) ||
	    !jt_all_zero(p->zero, sizeof(p->zero)))
		return damaged(faultp, 0, "its page 0 holds impossible values");
	if (memcmp(p->journal_id, journal_id, sizeof(p->journal_id)) != 0)
		return jt_fault_set(faultp, JT_VAULT_E_FOREIGN, 0, 16,
				    "the vault belongs to another journal; put "
				    "the right one in its place, or move it "
				    "away and run `jeton vault init`");
	return 0;
}

/* The directory of J, under the name that a message shall have. */
static int place_of(struct jt_place *p, const struct jt_journal *j,
		    const char *dir, struct jt_fault *faultp)
{
	int rc = jt_place_of(p, j->io, j->dir_fd, faultp);

	p->path = dir;
	return rc;
}

/* A whole, synced file under the temporary name. */
static int stage(const struct jt_place *p, const struct page *page,
		 struct jt_fault *faultp)
{
	int fd, rc = jt_place_stage(p, VAULT_NEW_NAME, &fd, faultp);

	if (rc != 0)
		return rc;
	rc = jt_io_write_at(p->io, fd, page, sizeof(*page), 0);
	if (rc == 0)
		rc = jt_io_sync_all(p->io, fd);
	p->io->close(fd);
	if (rc == 0)
		return 0;
	(void)jt_io_unlink(p->io, p->fd, VAULT_NEW_NAME);
	return jt_place_fault(p, faultp, rc, VAULT_NEW_NAME, "cannot write");
}

int jt_vault_init(const struct jt_journal *j, const char *dir,
		  const struct jt_vault_key *k, struct jt_fault *faultp)
{
	struct jt_place p;
	struct page page;
	int rc = place_of(&p, j, dir, faultp);

	assert(j->lock_fd >= 0);
	if (rc != 0)
		return rc;
	rc = jt_place_has(&p, JT_VAULT_NAME);
	if (rc < 0)
		return jt_place_fault(&p, faultp, rc, JT_VAULT_NAME,
				      "cannot look for it");
	if (rc > 0)
		return jt_fault_set(faultp, JT_JOURNAL_E_EXISTS, 0, 0,
				    "%s/%s: there is one already, and it "
				    "stays as it is",
				    dir, JT_VAULT_NAME);
	page_make(&page, j, k);
	rc = stage(&p, &page, faultp);
	return rc ? rc
		  : jt_place_publish(&p, VAULT_NEW_NAME, JT_VAULT_NAME, faultp);
}

static int load(struct jt_vault *v, const uint8_t journal_id[16],
		struct jt_fault *faultp)
{
	struct page page;
	struct stat st;
	int rc = jt_io_stat(v->io, v->fd, &st);

	if (rc < 0)
		return failed(faultp, rc, "look at its size");
	if (st.st_size < (off_t)JT_PAGE_BYTES)
		return damaged(faultp, (uint64_t)st.st_size,
			       "the file ends before its first entry");
	v->bytes = (uint64_t)st.st_size;
	if (v->bytes > offset_of(ENTRIES_MAX))
		return damaged(faultp, offset_of(ENTRIES_MAX),
			       "it is longer than any vault");
	rc = jt_io_read_at(v->io, v->fd, &page, sizeof(page), 0);
	if (rc < 0)
		return failed(faultp, rc, "read");
	v->key = page.key;
	return page_check(&page, journal_id, faultp);
}

int jt_vault_open(struct jt_vault *v, const struct jt_journal *j,
		  const char *dir, struct jt_fault *faultp)
{
	int flags = j->lock_fd >= 0 ? O_RDWR : O_RDONLY;
	struct jt_place p;
	int rc = place_of(&p, j, dir, faultp);

	*v = (struct jt_vault){.io = j->io, .fd = -1};
	if (rc == 0)
		rc = jt_place_file(&p, JT_VAULT_NAME, flags, &v->fd, faultp);
	if (rc != 0)
		return rc;
	rc = load(v, j->id, faultp);
	if (rc != 0)
		jt_vault_close(v);
	return rc;
}

void jt_vault_close(struct jt_vault *v)
{
	if (v->fd >= 0)
		v->io->close(v->fd);
	v->fd = -1;
}

/* ---- entries ---- */

void jt_vault_seal(const uint8_t public_key[JT_VAULT_PUBLIC_BYTES],
		   const char value[JT_TOKEN_BYTES],
		   uint8_t sealed[JT_VAULT_SEALED_BYTES])
{
	int rc = crypto_box_seal(sealed, (const uint8_t *)value, JT_TOKEN_BYTES,
				 public_key);

	assert(rc == 0);
	(void)rc;
}

static void entry_sum(const struct jt_vault *v, const struct entry *e,
		      uint8_t out[16])
{
	hash(out, e, offsetof(struct entry, checksum), v->key.public_key,
	     entry_domain);
}

static bool is_free(const struct entry *e)
{
	return jt_all_zero(e, sizeof(*e));
}

static bool is_sound(const struct jt_vault *v, const struct entry *e)
{
	uint8_t sum[16];

	entry_sum(v, e, sum);
	return memcmp(sum, e->checksum, sizeof(sum)) == 0 &&
	       memcmp(e->magic, entry_magic, sizeof(e->magic)) == 0 &&
	       jt_all_zero(e->zero, sizeof(e->zero));
}

static uint64_t n_places(const struct jt_vault *v)
{
	return (v->bytes - JT_PAGE_BYTES) / ENTRY_BYTES;
}

/* The entries from a place on, as many as a chunk holds. */
struct chunk {
	uint64_t first;
	size_t n;
	struct entry entry[CHUNK];
};

static int read_chunk(const struct jt_vault *v, uint64_t first, struct chunk *c,
		      struct jt_fault *faultp)
{
	uint64_t left = n_places(v) - first;
	int rc;

	c->first = first;
	c->n = left < CHUNK ? left : CHUNK;
	rc = jt_io_read_at(v->io, v->fd, c->entry, c->n * ENTRY_BYTES,
			   offset_of(first));
	if (rc == -ENODATA)
		return damaged(faultp, offset_of(first), "the file was cut");
	return rc < 0 ? failed(faultp, rc, "read") : 0;
}

/* There is no such entry. Is there one that might have been it? */
static int explain_absence(const struct jt_vault *v, struct jt_fault *faultp)
{
	struct chunk c;

	for (uint64_t at = 0; at < n_places(v); at += c.n) {
		int rc = read_chunk(v, at, &c, faultp);

		if (rc != 0)
			return rc;
		for (size_t i = 0; i < c.n; i++)
			if (!is_free(&c.entry[i]) && !is_sound(v, &c.entry[i]))
				return damaged(faultp, offset_of(at + i),
					       "an entry does not verify");
	}
	if (v->bytes != offset_of(n_places(v)))
		return damaged(faultp, v->bytes,
			       "the file ends inside an entry");
	return jt_fault_set(faultp, JT_VAULT_E_MISSING, 0, 0,
			    "the vault has no entry for this value");
}

static int find(const struct jt_vault *v, const char id[JT_ID_BYTES],
		const uint8_t digest[JT_DIGEST_BYTES], struct entry *ep,
		uint64_t *offsetp, struct jt_fault *faultp)
{
	struct chunk c;

	for (uint64_t at = 0; at < n_places(v); at += c.n) {
		int rc = read_chunk(v, at, &c, faultp);

		if (rc != 0)
			return rc;
		for (size_t i = 0; i < c.n; i++) {
			const struct entry *e = &c.entry[i];

			if (memcmp(e->id, id, JT_ID_BYTES) != 0 ||
			    memcmp(e->digest, digest, JT_DIGEST_BYTES) != 0 ||
			    !is_sound(v, e))
				continue;
			*ep = *e;
			*offsetp = offset_of(at + i);
			return 0;
		}
	}
	return explain_absence(v, faultp);
}

int jt_vault_has(const struct jt_vault *v, const char id[JT_ID_BYTES],
		 const uint8_t digest[JT_DIGEST_BYTES], struct jt_fault *faultp)
{
	uint64_t offset;
	struct entry e;

	return find(v, id, digest, &e, &offset, faultp);
}

/* Open E with the secret half; VALUE only when it has the digest. */
static int open_value(const struct jt_vault *v, const struct entry *e,
		      const uint8_t *half, char value[JT_TOKEN_BYTES])
{
	uint8_t digest[JT_DIGEST_BYTES];
	uint8_t *clear = sodium_malloc(JT_TOKEN_BYTES);
	int rc;

	if (clear == NULL)
		return -ENOMEM;
	rc = crypto_box_seal_open(clear, e->sealed, sizeof(e->sealed),
				  v->key.public_key, half);
	if (rc == 0) {
		jt_token_digest(clear, digest);
		rc = memcmp(digest, e->digest, sizeof(digest));
	}
	if (rc == 0)
		memcpy(value, clear, JT_TOKEN_BYTES);
	sodium_free(clear);
	return rc == 0 ? 0 : JT_JOURNAL_E_DAMAGED;
}

int jt_vault_get(const struct jt_vault *v, const char id[JT_ID_BYTES],
		 const uint8_t digest[JT_DIGEST_BYTES], const char *passphrase,
		 size_t bytes, char value[JT_TOKEN_BYTES],
		 struct jt_fault *faultp)
{
	struct secrets *s;
	uint64_t offset;
	struct entry e;
	int rc = find(v, id, digest, &e, &offset, faultp);

	if (rc != 0)
		return rc;
	s = sodium_malloc(sizeof(*s));
	if (s == NULL)
		return failed(faultp, -ENOMEM, "open");
	rc = open_key(&v->key, passphrase, bytes, s, faultp);
	if (rc == 0) {
		rc = open_value(v, &e, s->half, value);
		if (rc > 0)
			damaged(faultp, offset,
				"this is not the value that "
				"the journal knows");
		else if (rc < 0)
			failed(faultp, rc, "open");
	}
	sodium_free(s);
	return rc;
}

/* ---- putting ---- */

bool jt_vault_wants(const struct jt_record *r)
{
	return (r->type == JT_REC_CREATE || r->type == JT_REC_ROTATE) &&
	       (r->token.flags & JT_TOKEN_RECOVERABLE) != 0;
}

/* Looks for places, and gathers entries that stand in a row. */
struct putter {
	struct jt_vault *v;
	const struct jt_journal *j;
	uint64_t next; /* place to be looked at */
	uint64_t
		sweep; /* from this place on, in a ring, the journal is asked */
	struct chunk chunk;
	struct chunk run; /* to be written */
};

/* Does the journal have the record that E was written for? */
static bool is_recorded(const struct jt_journal *j, const struct entry *e)
{
	struct jt_record r;

	if (e->number <= j->base)
		return true; /* compacted: nobody can tell any more */
	if (e->number > j->committed.number)
		return false;
	if (jt_journal_read(j, e->number, &r, 1, NULL) != 0)
		return true; /* when in doubt it stays */
	return jt_record_is_token(r.type) &&
	       memcmp(r.token.id, e->id, sizeof(e->id)) == 0 &&
	       memcmp(r.token.digest, e->digest, sizeof(e->digest)) == 0;
}

static bool is_orphan(const struct putter *p, uint64_t place,
		      const struct entry *e)
{
	uint64_t n = n_places(p->v);
	bool swept = (place + n - p->sweep) % n < SWEEP_MAX;

	if (!swept && e->number <= p->j->committed.number)
		return false;
	return !is_recorded(p->j, e) && is_sound(p->v, e);
}

/* A place that may be written: free, an orphan's, or behind the last. */
static int find_place(struct putter *p, uint64_t *placep,
		      struct jt_fault *faultp)
{
	for (; p->next < n_places(p->v); p->next++) {
		const struct entry *e;

		if (p->next >= p->chunk.first + p->chunk.n) {
			int rc = read_chunk(p->v, p->next, &p->chunk, faultp);

			if (rc != 0)
				return rc;
		}
		e = &p->chunk.entry[p->next - p->chunk.first];
		if (is_free(e) || is_orphan(p, p->next, e))
			break;
	}
	if (p->next >= ENTRIES_MAX)
		return jt_fault_set(faultp, JT_JOURNAL_E_FULL, 0, 0,
				    "the vault holds %" PRIu64
				    " values and takes no more",
				    ENTRIES_MAX);
	*placep = p->next++;
	return 0;
}

static int write_run(struct putter *p, struct jt_fault *faultp)
{
	int rc =
		jt_io_write_at(p->v->io, p->v->fd, p->run.entry,
			       p->run.n * ENTRY_BYTES, offset_of(p->run.first));

	p->run.n = 0;
	return rc < 0 ? failed(faultp, rc, "write") : 0;
}

static int put_one(struct putter *p, const struct jt_record *r, uint64_t number,
		   const uint8_t sealed[JT_VAULT_SEALED_BYTES],
		   struct jt_fault *faultp)
{
	struct entry *e;
	uint64_t place = 0;
	int rc = find_place(p, &place, faultp);

	if (rc == 0 && p->run.n > 0 &&
	    (p->run.n == CHUNK || place != p->run.first + p->run.n))
		rc = write_run(p, faultp);
	if (rc != 0)
		return rc;
	if (p->run.n == 0)
		p->run.first = place;
	e = &p->run.entry[p->run.n++];
	*e = (struct entry){.number = number};
	memcpy(e->magic, entry_magic, sizeof(e->magic));
	memcpy(e->id, r->token.id, sizeof(e->id));
	memcpy(e->digest, r->token.digest, sizeof(e->digest));
	memcpy(e->sealed, sealed, sizeof(e->sealed));
	entry_sum(p->v, e, e->checksum);
	return 0;
}

static int put_all(struct putter *p, const struct jt_record *records, size_t n,
		   const uint8_t (*sealed)[JT_VAULT_SEALED_BYTES],
		   struct jt_fault *faultp)
{
	uint64_t number = p->j->committed.number;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		number++;
		if (jt_vault_wants(&records[i]))
			rc = put_one(p, &records[i], number, *sealed++, faultp);
	}
	if (rc == 0 && p->run.n > 0)
		rc = write_run(p, faultp);
	if (rc != 0)
		return rc;
	rc = jt_io_sync(p->v->io, p->v->fd);
	return rc < 0 ? failed(faultp, rc, "flush") : 0;
}

int jt_vault_put(struct jt_vault *v, const struct jt_journal *j,
		 const struct jt_record *records, size_t n,
		 const uint8_t (*sealed)[JT_VAULT_SEALED_BYTES],
		 struct jt_fault *faultp)
{
	struct putter *p = calloc(1, sizeof(*p));
	uint64_t places = n_places(v);
	int rc;

	assert(j->lock_fd >= 0);
	if (p == NULL)
		return failed(faultp, -ENOMEM, "write");
	p->v = v;
	p->j = j;
	if (places > SWEEP_MAX)
		p->sweep = randombytes_uniform((uint32_t)places);
	rc = put_all(p, records, n, sealed, faultp);
	if (rc == 0 && offset_of(p->next) > v->bytes)
		v->bytes = offset_of(p->next);
	free(p);
	return rc;
}

/* ---- wiping ---- */

static bool is_final(const struct jt_record *r)
{
	return r->type == JT_REC_REVOKE || r->type == JT_REC_PURGE;
}

/* By id; of one id what ends most comes first. */
static int compare_ends(const void *a, const void *b)
{
	const struct jt_record *x = *(const struct jt_record *const *)a;
	const struct jt_record *y = *(const struct jt_record *const *)b;
	int by_id = memcmp(x->token.id, y->token.id, JT_ID_BYTES);

	if (by_id != 0)
		return by_id;
	if (is_final(x) != is_final(y))
		return is_final(x) ? -1 : 1;
	return x->number > y->number ? -1 : x->number < y->number;
}

/* The records that end values, in order; *MP of them. NULL: no memory. */
static const struct jt_record **sort_ends(const struct jt_record *records,
					  size_t n, size_t *mp)
{
	const struct jt_record **ends = calloc(n + 1, sizeof(*ends));
	size_t m = 0;

	if (ends == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (is_final(&records[i]) || records[i].type == JT_REC_ROTATE)
			ends[m++] = &records[i];
	qsort(ends, m, sizeof(*ends), compare_ends);
	*mp = m;
	return ends;
}

static bool is_ended(const struct jt_record *const *ends, size_t m,
		     const struct entry *e)
{
	size_t low = 0, high = m;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(ends[middle]->token.id, e->id, sizeof(e->id)) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < m &&
	       memcmp(ends[low]->token.id, e->id, sizeof(e->id)) == 0 &&
	       (is_final(ends[low]) || e->number < ends[low]->number);
}

static int wipe_ended(struct jt_vault *v, const struct jt_record *const *ends,
		      size_t m, size_t *wipedp, struct jt_fault *faultp)
{
	static const struct entry zeros;
	struct chunk c;
	int rc;

	for (uint64_t at = 0; at < n_places(v); at += c.n) {
		rc = read_chunk(v, at, &c, faultp);
		for (size_t i = 0; rc == 0 && i < c.n; i++) {
			if (!is_ended(ends, m, &c.entry[i]))
				continue;
			rc = jt_io_write_at(v->io, v->fd, &zeros, sizeof(zeros),
					    offset_of(at + i));
			if (rc < 0)
				failed(faultp, rc, "wipe");
			(*wipedp)++;
		}
		if (rc != 0)
			return rc;
	}
	rc = *wipedp > 0 ? jt_io_sync(v->io, v->fd) : 0;
	return rc < 0 ? failed(faultp, rc, "flush") : 0;
}

int jt_vault_wipe(struct jt_vault *v, const struct jt_journal *j,
		  const struct jt_record *records, size_t n, size_t *wipedp,
		  struct jt_fault *faultp)
{
	const struct jt_record **ends;
	size_t m, wiped = 0;
	int rc = 0;

	assert(j->lock_fd >= 0);
	ends = sort_ends(records, n, &m);
	if (ends == NULL)
		return failed(faultp, -ENOMEM, "wipe");
	if (m > 0)
		rc = wipe_ended(v, ends, m, &wiped, faultp);
	free(ends);
	if (wipedp)
		*wipedp = wiped;
	return rc;
}
