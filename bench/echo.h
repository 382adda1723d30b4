/*
 * echo: the other floor: a plain epoll server, written apart from floor.c.
 *
 * read, count, write; one thread, level-triggered, one send of
 * constant bytes. It answers as floor.h does: so many bytes of a request, one
 * canned verdict. Which of the two costs less decides the run, not we.
 */
#ifndef JT_BENCH_ECHO_H
#define JT_BENCH_ECHO_H

/* Serve for ever (ARG: struct jt_floor); returns a negative errno only. */
int jt_echo_serve(void *arg);

#endif
