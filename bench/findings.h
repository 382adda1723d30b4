/*
 * findings: what a verb has found, in a form that the report can join with what
 * others have: one JSON object.
 *
 *   verb, version, machine {..}, flags {..}
 *   goals   [{key, median, low, high, n, stolen, foreign}]   keys of goals.h
 *   ratios  [{words, the same}]                      all others worth a line
 *   tables  [{title, columns [..], rows [[..]]}]     words
 *   plots   [{kind, title, x, y, note,
 *             series [{name, points [[x, y, low, high]]}]}]
 *
 * `stolen`, `foreign`: above 0 if the figure stands on slices that were not
 * clean, shares of a core in the worst of them (keep.h).
 *
 * Kinds of plot: "bars" (x is the number of a group, named in `groups`),
 * "percentiles" (x is 1 / (1 - share)), "lines" (both axes logarithmic). A verb
 * may add more members of its own; nobody else reads them. Built and written by
 * one thread, after the measuring. Nothing here fails but writing: out of
 * memory something is left out.
 */
#ifndef JT_BENCH_FINDINGS_H
#define JT_BENCH_FINDINGS_H

#include "bench/machine.h"
#include "bench/summary.h"

#include <jansson.h>

json_t *jt_findings_new(const char *verb, const struct jt_machine *m);

/* Flags and other facts of the run; VALUE is taken over. */
void jt_findings_flag(json_t *f, const char *key, json_t *value);

void jt_findings_goal(json_t *f, const char *key, const struct jt_summary *s);
/* A goal that is a plain figure. */
void jt_findings_figure(json_t *f, const char *key, double value);
void jt_findings_ratio(json_t *f, const char *words,
		       const struct jt_summary *s);

/* COLUMNS: "a|b|c". Rows are added with jt_findings_row(). */
json_t *jt_findings_table(json_t *f, const char *title, const char *columns);
/* A cell for each column, "a|b|c"; formatted. */
void jt_findings_row(json_t *table, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Plots: borrowed, like all that the following return. */
json_t *jt_findings_plot(json_t *f, const char *kind, const char *title,
			 const char *x, const char *y, const char *note);
json_t *jt_plot_series(json_t *plot, const char *name);
void jt_plot_group(json_t *plot, const char *name);
void jt_plot_point(json_t *series, double x, double y, double low, double high);

json_t *jt_summary_json(const struct jt_summary *s);

/* Write and drop F. 0 or a negative errno, said on stderr. */
int jt_findings_write(json_t *f, const char *path);

#endif
