/*
 * token: what a token looks like, how one is made, read and digested.
 *
 *     jt_live_Zk3mQ0v9XyTb41Rw  + 34 characters of secret + 6 of checksum
 *     `------- 24 public -----'   = 64 characters, always
 *
 * prefix 2-4 of [a-z], `_`, environment 1-6 of [a-z0-9], `_`, id in base62 up
 * to 24 (12 at least); secret 34 base62 characters (202 bits) from libsodium's
 * generator; checksum: XXH32 of the 58 characters before it in base62. The
 * checksum is no security check: it tells "mistyped" from "unknown".
 *
 * Pure functions, any process. The value appears nowhere but in the caller's
 * buffer; the digest is all that is ever stored.
 */
#ifndef JT_SHM_TOKEN_H
#define JT_SHM_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JT_TOKEN_BYTES 64u
#define JT_PUBLIC_BYTES 24u
#define JT_CHECK_BYTES 6u
#define JT_VALUE_DIGEST 32u

/* "never" and the furthest date that a token may have. */
#define JT_LIFETIME_YEARS 4
/*
 * A longer value is none of another system. It is the longest that a door
 * takes (sidecar/resp.h), so that no import, which knows a digest alone, can
 * be of a value that never verifies.
 */
#define JT_OTHER_BYTES_MAX 4096u

enum jt_token_shape {
	JT_SHAPE_NATIVE = 0,
	JT_SHAPE_MISSING,    /* no byte */
	JT_SHAPE_WHITESPACE, /* native once trimmed */
	JT_SHAPE_MALFORMED,  /* wrong length or alphabet */
	JT_SHAPE_MISTYPED,   /* 64 fitting characters, wrong checksum */
};

bool jt_prefix_ok(const char *prefix);
bool jt_env_ok(const char *env, size_t bytes);
/* 24 public characters of the right shape? *ENVP, *ENV_BYTESP may be NULL. */
bool jt_public_ok(const char id[JT_PUBLIC_BYTES], const char **envp,
		  size_t *env_bytesp);

/*
 * Write 64 random characters to OUT (no terminator). PREFIX and ENV must have
 * passed the checks above. sodium_init() must have been called.
 */
void jt_token_make(const char *prefix, const char *env,
		   char out[JT_TOKEN_BYTES]);

/* Another value for the same ID. */
void jt_token_remake(const char id[JT_PUBLIC_BYTES], char out[JT_TOKEN_BYTES]);

/* Of the form above, checksum aside, and with that prefix (zero-padded)? */
bool jt_token_is_native(const uint8_t *bytes, size_t n, const char prefix[8]);

/* What these bytes look like; decided without any table. */
enum jt_token_shape jt_token_shape(const uint8_t *bytes, size_t n);

/* BLAKE2b-256 with jeton's personalisation: the stored form. */
void jt_token_digest(const uint8_t value[JT_TOKEN_BYTES],
		     uint8_t out[JT_VALUE_DIGEST]);

/*
 * The same of N values, 1 to JT_TOKEN_DIGESTS, side by side: where
 * jt_token_digests_are_fast(), for less than two one by one.
 */
#define JT_TOKEN_DIGESTS 8u
void jt_token_digests(const uint8_t *const *values, size_t n,
		      uint64_t (*digests)[JT_VALUE_DIGEST / 8]);
bool jt_token_digests_are_fast(void);

/*
 * SHA-256 of another system's value: of all of it, or with PREFIXED
 * (`prefix_short_long`) of what stands behind its last `_`. False: there is
 * nothing there, and nothing was hashed. Costs by the byte: who takes values
 * from strangers counts them so (sidecar/round.c).
 */
bool jt_token_digest_other(const uint8_t *bytes, size_t n, bool prefixed,
			   uint8_t out[JT_VALUE_DIGEST]);

/*
 * The public id of another system's value: prefix, environment, and the first
 * 8 bytes of its digest in base62, filled up with zeros in front.
 */
void jt_token_other_id(const char *prefix, const char *env,
		       const uint8_t digest[JT_VALUE_DIGEST],
		       char out[JT_PUBLIC_BYTES]);

/* Those 8 bytes as a number, from the id. False: it cannot be such an id. */
bool jt_token_other_key(const char id[JT_PUBLIC_BYTES], uint64_t *keyp);

/* Index key of a public part under a segment's seed. */
uint64_t jt_token_key(const uint8_t id[JT_PUBLIC_BYTES], uint64_t seed);

/* An environment's name as one word, zero-padded; 0 when it is not a name. */
uint64_t jt_env_word(const char *env, size_t bytes);

#endif
