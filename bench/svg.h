/*
 * svg: one plot of findings.h as a figure: inline SVG with a caption and a
 * legend, styled by the page's classes and variables (page.c), so that it is
 * readable on light and dark ground. No script, nothing from elsewhere.
 *
 * What is missing in PLOT or not a number is left out; a plot without points is
 * not drawn. Errors are those of TO.
 */
#ifndef JT_BENCH_SVG_H
#define JT_BENCH_SVG_H

#include <jansson.h>
#include <stdio.h>

void jt_svg_plot(FILE *to, const json_t *plot);

/* TEXT with what HTML gives a meaning escaped; NULL: nothing. */
void jt_svg_text(FILE *to, const char *text);

/* 9460000 as "9.46 M", 4089 as "4.09 k", 12.34 as "12.3" */
const char *jt_svg_short(double x, char out[24]);

#endif
