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

#include <jansson.h>

/*
 * The limit of every token: so high that even the most frequent one of a Zipf
 * load is not refused, and so that a whole microsecond lies between requests,
 * which is what the script at Redis reckons in.
 */
#define JT_JETON_RATE 1000000u
#define JT_JETON_BURST 1000000u

/*
 * Behind them two more that everybody asks for: one that is never refused, with
 * the highest rate that there is, and one that hardly ever is not.
 */
#define JT_JETON_EXTRA 2u
#define JT_JETON_HOT_RATE 10000000u
#define JT_JETON_LIMITED_RATE 1000u
#define JT_JETON_LIMITED_BURST 1000u

/* `jeton create --from` of N + JT_JETON_EXTRA tokens in the journal DIR/data.
 */
int jt_jeton_create(const char *bin_dir, const char *dir, size_t n,
		    struct jt_tokens *tokens);

/* Start `jeton VERB...` on that journal. */
int jt_jeton_admin_exec(struct jt_process *p, const char *bin_dir,
			const char *dir, const char *const verb[]);

/* Run it to its end; -ECHILD unless it exits 0. */
int jt_jeton_admin(const char *bin_dir, const char *dir,
		   const char *const verb[]);

/* What `jeton status --json` says, or NULL. Never said on stderr. */
json_t *jt_jeton_status(const char *bin_dir, const char *dir);

/* The HTTP door's socket beside that one. */
void jt_jeton_http(const char *dir, char socket[108]);

/* Start jetond with the flags MORE; somebody else waits until it serves. */
int jt_jeton_exec(struct jt_process *p, int cpu, const char *bin_dir,
		  const char *dir, const char *const more[], char socket[108]);

/* Wait until it says VALID to VALUE; its words if it does not. */
int jt_jeton_await(struct jt_process *p, const char *socket, const char *value);

/* Start jetond with one worker; ready once TOKEN is VALID. */
int jt_jeton_start(struct jt_process *p, int cpu, const char *bin_dir,
		   const char *dir, const struct jt_tokens *tokens,
		   char socket[108]);

#endif
