/*
 * jeton: our own server as a subject: tokens created, daemon started.
 *
 * Uses the programs beside jeton-bench as a user would. Errors: negative
 * errno, already said on stderr; -ECHILD: a program failed.
 */
#ifndef JT_BENCH_JETON_H
#define JT_BENCH_JETON_H

#include "bench/process.h"
#include "bench/tokens.h"

/* The limit of every token: high enough that nothing is refused. */
#define JT_JETON_RATE 1000u
#define JT_JETON_BURST 1000u

/* `jeton create --from` of N tokens in the journal DIR/data. */
int jt_jeton_create(const char *bin_dir, const char *dir, size_t n,
		    struct jt_tokens *tokens);

/* The HTTP door's socket beside that one. */
void jt_jeton_http(const char *dir, char socket[108]);

/* Start jetond with one worker; ready once TOKEN is VALID. */
int jt_jeton_start(struct jt_process *p, int cpu, const char *bin_dir,
		   const char *dir, const struct jt_tokens *tokens,
		   char socket[108]);

#endif
