/*
 * http_floor: the least that libmicrohttpd can cost at this door.
 *
 * Answers every request with the same fields, as long as those of the HTTP
 * door's usual 200, and looks at nothing. What the door needs more than this
 * is what it does.
 */
#ifndef JT_BENCH_HTTP_FLOOR_H
#define JT_BENCH_HTTP_FLOOR_H

/* Serve for ever on the listener *ARG (int); returns a negative errno only. */
int jt_http_floor_serve(void *arg);

#endif
