/*
 * tokens: the token values of a run, and the requests made from them.
 *
 * Values are 64 characters (shm/token.h). They are test tokens of a journal
 * that is deleted afterwards, so they are kept in plain memory. Errors:
 * negative errno; -ENODATA: no token in the file.
 */
#ifndef JT_BENCH_TOKENS_H
#define JT_BENCH_TOKENS_H

#include "bench/loadgen.h"
#include "shm/token.h"

struct jt_tokens {
	char (*values)[JT_TOKEN_BYTES];
	size_t n;
};

/*
 * Take from each line of PATH the first field of 64 token characters, whatever
 * separates the fields; lines without one (headers) are passed over.
 */
int jt_tokens_read(struct jt_tokens *t, const char *path);

/* Put copies of MORE behind those of T, which may be empty. */
int jt_tokens_append(struct jt_tokens *t, const struct jt_tokens *more);

/* Make N of them, known to nobody. */
int jt_tokens_make(struct jt_tokens *t, size_t n);
void jt_tokens_shuffle(struct jt_tokens *t, uint64_t seed);
void jt_tokens_free(struct jt_tokens *t);

/* One request for each token in order: BEFORE, the token, AFTER. */
int jt_tokens_render(const struct jt_tokens *t, const char *before,
		     const char *after, struct jt_requests *q);
void jt_tokens_free_requests(struct jt_requests *q);

/* What stands around the token in `VERIFY token`. */
#define JT_VERIFY_BEFORE "*2\r\n$6\r\nVERIFY\r\n$64\r\n"
#define JT_VERIFY_AFTER "\r\n"

#endif
