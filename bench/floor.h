/*
 * floor: the least that any server on this socket can cost.
 *
 * A bare io_uring loop: one receive and one send per connection and round. It
 * reads requests of a fixed length without looking at them and answers each
 * with the same verdict, as long as jeton's usual one. What jeton needs more
 * than this is what it does.
 */
#ifndef JT_BENCH_FLOOR_H
#define JT_BENCH_FLOOR_H

#include <stddef.h>

struct jt_floor {
	int listener;
	size_t request_bytes;
};

/* What jeton answers to VERIFY of a valid token with a rate limit. */
extern const char jt_floor_reply[];

/* A listening Unix socket at PATH, or a negative errno. */
int jt_floor_listen(const char *path);

/* Serve for ever (ARG: struct jt_floor); returns a negative errno only. */
int jt_floor_serve(void *arg);

#endif
