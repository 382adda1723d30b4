/*
 * page: the findings of several verbs as one: the table of goals, in plain
 * words and as one HTML page with its plots in it, which loads nothing from
 * anywhere.
 */
#ifndef JT_BENCH_PAGE_H
#define JT_BENCH_PAGE_H

#include <jansson.h>
#include <stdio.h>

/* FINDINGS: an array of what jt_findings_new() began. */
void jt_page_print_goals(FILE *to, const json_t *findings);

/* COMMIT: of the programs that were measured; "": not known. */
void jt_page_write(FILE *to, const json_t *findings, const char *commit);

#endif
