/*
 * redis: a Redis server as a rival: started, filled, asked.
 *
 * Debian's redis-server with its own defaults, Unix socket only, no
 * persistence. Errors: negative errno, already said on stderr.
 */
#ifndef JT_BENCH_REDIS_H
#define JT_BENCH_REDIS_H

#include "bench/process.h"
#include "bench/tokens.h"

#define JT_REDIS_FLAGS "--port 0 --save \"\" --appendonly no"

/* Start one for DIR/NAME.sock, which is written to SOCKET, and wait for it. */
int jt_redis_start(struct jt_process *p, int cpu, const char *dir,
		   const char *name, char socket[108]);

/*
 * The same, in DIR, with what DIR/dump.rdb holds, and without waiting for it:
 * jt_redis_await(), which takes -LOADING for no answer.
 */
int jt_redis_exec(struct jt_process *p, int cpu, const char *dir,
		  const char *name, char socket[108]);
int jt_redis_await(struct jt_process *p, const char *socket);

/* A hash for each token, with the fields that bench/verify.lua reads. */
int jt_redis_fill_hashes(const char *socket, const struct jt_tokens *tokens);

/* SAVE: all of it to dump.rdb; however long that takes. */
int jt_redis_save(const char *socket);

/* The same work in two ways; both files are part of this program. */
enum jt_redis_script {
	JT_REDIS_HASH,	 /* bench/verify.lua: one HMGET, one HSET */
	JT_REDIS_PACKED, /* bench/verify_packed.lua: one GET, one SET */
};

int jt_redis_load_script(const char *socket, enum jt_redis_script which,
			 char sha[41]);

/* "7.0.15", or "" */
void jt_redis_version(const char *socket, char *out, size_t out_bytes);

#endif
