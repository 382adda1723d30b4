/*
 * scratch: a directory of one run, and where the programs are. Errors: negative
 * errno, already said on stderr.
 */
#ifndef JT_BENCH_SCRATCH_H
#define JT_BENCH_SCRATCH_H

#include <limits.h>

/* Make a new directory below TMP; short, for sockets will be in it. */
int jt_scratch_make(const char *tmp, char dir[64]);
void jt_scratch_remove(const char *dir);

/* The directory of this program, where its siblings are. */
int jt_scratch_bin_dir(char out[PATH_MAX]);

#endif
