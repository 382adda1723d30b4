/*
 * report: what a run has shown, as a table in plain words and as JSON.
 *
 * Figures are medians over the kept slices. Ratios are medians of the ratios
 * within each round, with a 95 % bootstrap interval; a ratio is worth no more
 * than the twins' interval is wide.
 */
#ifndef JT_BENCH_REPORT_H
#define JT_BENCH_REPORT_H

#include "bench/rounds.h"

#include <stdio.h>

void jt_report_print(const struct jt_rounds *r, FILE *to);

/* 0 or a negative errno. */
int jt_report_write_json(const struct jt_rounds *r, const char *path);

#endif
