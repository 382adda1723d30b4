/*
 * memcached: as a rival: started, filled.
 *
 * Debian's memcached, one thread, Unix socket. Asked with meta commands: to a
 * pipeline of those it answers with one send, to one of `get` with one each.
 * Errors: negative errno, already said on stderr.
 */
#ifndef JT_BENCH_MEMCACHED_H
#define JT_BENCH_MEMCACHED_H

#include "bench/process.h"
#include "bench/tokens.h"

/*
 * As many requests of one connection at a turn as a pipeline holds; by itself
 * it would turn to the next one after 20.
 */
#define JT_MEMCACHED_FLAGS "-t 1 -R 512 -c 8192 -U 0"

/* Start one for DIR/memcached.sock with room for N values. */
int jt_memcached_start(struct jt_process *p, int cpu, const char *dir, size_t n,
		       char socket[108]);

/* Store VALUE under each token. */
int jt_memcached_fill(const char *socket, const struct jt_tokens *tokens,
		      const char *value);

/* "1.6.18", or "" */
void jt_memcached_version(const char *socket, char *out, size_t out_bytes);

#endif
