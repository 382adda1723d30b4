/*
 * options: the little that the verbs share in reading their flags. What is
 * wrong is said on stderr.
 */
#ifndef JT_BENCH_OPTIONS_H
#define JT_BENCH_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#define JT_EXIT_OK 0
#define JT_EXIT_FAILED 1
#define JT_EXIT_USAGE 2

/* TEXT, the value of --NAME, as a whole number between LOW and HIGH. */
bool jt_options_number(const char *name, const char *text, uint64_t low,
		       uint64_t high, uint64_t *outp);

/* "1,64" as up to MAX such numbers. */
bool jt_options_list(const char *name, const char *text, unsigned max,
		     uint64_t high, unsigned *out, unsigned *np);

/*
 * Read the flags of a verb: TAKE gets FLAGS and each option's number, and says
 * false when its value is wrong; 'h' prints USAGE. No word may be left over.
 * -1: go on; else the exit status.
 */
int jt_options_read(int argc, char **argv, const struct option *options,
		    const char *usage, bool (*take)(void *flags, int c),
		    void *flags);

/* The verbs. */
int jt_verb_run(int argc, char **argv);
int jt_verb_load(int argc, char **argv);
int jt_verb_inprocess(int argc, char **argv);
int jt_verb_table(int argc, char **argv);
int jt_verb_restart(int argc, char **argv);
int jt_verb_revoke(int argc, char **argv);
int jt_verb_mutate(int argc, char **argv);
int jt_verb_page(int argc, char **argv);

#endif
