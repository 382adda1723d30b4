/*
 * fill: store something under each token at a rival, as fast as it takes it.
 * Errors: negative errno, already said on stderr.
 */
#ifndef JT_BENCH_FILL_H
#define JT_BENCH_FILL_H

#include "bench/tokens.h"

/*
 * Send one command for each token, BEFORE token AFTER, in order; each must be
 * answered with WANT, of that type (jt_scan).
 */
int jt_fill(const char *socket, const struct jt_tokens *tokens,
	    const char *before, const char *after, char want_type,
	    const char *want);

#endif
