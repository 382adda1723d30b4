/*
 * ask: one question, one answer, on a connection of its own. For set-up only:
 * blocking, a few a run. Errors: negative errno.
 */
#ifndef JT_BENCH_ASK_H
#define JT_BENCH_ASK_H

#include "bench/process.h"

#include <stddef.h>

struct jt_scan;

/* A connected stream socket. */
int jt_ask_connect(const char *path);

/* Send REQUEST there and take the whole reply into SCAN, new for it. */
int jt_ask_on(int fd, const void *request, size_t bytes, struct jt_scan *scan);

/*
 * Send REQUEST (whole) and store the start of the whole reply in TEXT,
 * zero-terminated. TYPE: of the reply, as jt_scan has it.
 */
int jt_ask_once(const char *path, char type, const void *request, size_t bytes,
		char *text, size_t text_bytes);

/*
 * Ask until the reply's answer is WANT, of that type: 0. -ESRCH when SERVER
 * died, -ETIME after two minutes, -EINTR when the user wants to stop. Asks each
 * millisecond: that is how precise it is as a clock.
 */
int jt_ask_until(struct jt_process *server, const char *path, char type,
		 const void *request, size_t bytes, const char *want);

#endif
