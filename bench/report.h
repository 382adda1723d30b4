/*
 * report: what a run has shown, as a table in plain words and as findings.
 *
 * Figures are medians over the slices that count (keep.h). Ratios are medians
 * of the ratios within each round, with a 95 % bootstrap interval; a ratio is
 * worth no more than the twins' interval is wide.
 */
#ifndef JT_BENCH_REPORT_H
#define JT_BENCH_REPORT_H

#include "bench/open.h"
#include "bench/rounds.h"

#include <jansson.h>
#include <stdio.h>

/* O: NULL if there was no open loop. */
void jt_report_print(const struct jt_rounds *r, const struct jt_open *o,
		     FILE *to);

/* The same for the page (report_findings.c). */
json_t *jt_report_findings(const struct jt_rounds *r, const struct jt_open *o);

/* Write each curve of the open loop to DIR/NAME-PERCENT.hgrm, as HdrHistogram's
 * plotter reads them. 0 or a negative errno, said on stderr. */
int jt_report_write_percentiles(const struct jt_open *o, const char *dir);

/* 9123456.7 as "9,123,457" */
const char *jt_report_grouped(double x, char out[32]);

#endif
