/* histogram: precision, and HdrHistogram's layout of percentiles. */
#include "bench/histogram.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct jt_histogram h;

static void start(void)
{
	jt_histogram_init(&h);
}

TestSuite(histogram, .init = start);

Test(histogram, every_value_from_1_ns_to_60_s_is_told_within_1_percent)
{
	for (double v = 1; v < 6e10; v *= 1.003) {
		uint64_t ns = (uint64_t)v, told;

		jt_histogram_init(&h);
		jt_histogram_add(&h, ns, 1);
		/* one beside it, lest the maximum be told */
		told = jt_histogram_quantile_ns(&h, 0.5);
		cr_assert(fabs((double)told - (double)ns) <= 0.01 * v,
			  "%llu as %llu", (unsigned long long)ns,
			  (unsigned long long)told);
	}
}

Test(histogram, what_takes_longer_counts_as_60_s)
{
	jt_histogram_add(&h, UINT64_MAX, 1);
	cr_expect_eq(h.max_ns, JT_HISTOGRAM_MAX_NS);
	cr_expect_float_eq((double)jt_histogram_quantile_ns(&h, 1), 6e10, 6e8);
}

Test(histogram, a_quantile_is_what_sorting_would_give)
{
	for (uint64_t i = 1; i <= 1000; i++)
		jt_histogram_add(&h, i * 1000, 1);
	cr_expect_float_eq((double)jt_histogram_quantile_ns(&h, 0.5), 501e3,
			   5e3);
	cr_expect_float_eq((double)jt_histogram_quantile_ns(&h, 0.99), 991e3,
			   1e4);
	cr_expect_eq(jt_histogram_quantile_ns(&h, 0),
		     jt_histogram_quantile_ns(&h, 0.0005));
}

Test(histogram, nothing_measured_is_no_percentile)
{
	struct jt_histogram_step step = {0};

	cr_expect_eq(jt_histogram_quantile_ns(&h, 0.5), 0);
	cr_expect_not(jt_histogram_next(&h, &step));
}

Test(histogram, merged_ones_hold_the_events_of_both)
{
	static struct jt_histogram other;

	jt_histogram_init(&other);
	jt_histogram_add(&h, 100, 3);
	jt_histogram_add(&other, 5000, 1);
	jt_histogram_merge(&h, &other);
	cr_expect_eq(h.n, 4);
	cr_expect_eq(h.max_ns, 5000);
	cr_expect_eq(jt_histogram_quantile_ns(&h, 0.7), 100);
}

Test(histogram, steps_halve_the_way_to_1_in_fifths_and_end_at_the_longest)
{
	/* HdrHistogram's own for five ticks per half distance */
	static const double want[] = {0,    0.1,   0.2,	 0.3,  0.4,  0.5,
				      0.55, 0.6,   0.65, 0.7,  0.75, 0.775,
				      0.8,  0.825, 0.85, 0.875};
	struct jt_histogram_step step = {0};
	uint64_t count = 0;

	for (uint64_t i = 1; i <= 100000; i++)
		jt_histogram_add(&h, i * 100, 1);
	for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		cr_assert(jt_histogram_next(&h, &step));
		cr_expect_float_eq(step.share, want[i], 1e-9);
		cr_expect_geq(step.count, count);
		cr_expect_float_eq((double)step.count / 1e5, want[i], 0.01);
		count = step.count;
	}
	while (jt_histogram_next(&h, &step))
		;
	cr_expect_eq(step.share, 1);
	cr_expect_eq(step.ns, 10000000);
	cr_expect_eq(step.count, 100000);
}

Test(histogram, is_printed_as_hdrhistograms_plotter_reads_it)
{
	char *text = NULL, *line, *rest;
	size_t bytes = 0;
	unsigned data = 0, footer = 0;
	FILE *f = open_memstream(&text, &bytes);

	for (uint64_t i = 1; i <= 10000; i++)
		jt_histogram_add(&h, i * 1000, 1);
	jt_histogram_print(&h, f);
	fclose(f);
	rest = text;
	line = strsep(&rest, "\n");
	cr_expect_str_eq(
		line,
		"       Value     Percentile TotalCount 1/(1-Percentile)");
	cr_expect_str_eq(strsep(&rest, "\n"), "");
	while ((line = strsep(&rest, "\n")) && *line) {
		double value, share, inverse;
		unsigned long long count;
		int n = sscanf(line, "%lf %lf %llu %lf", &value, &share, &count,
			       &inverse);

		if (line[0] == '#') {
			if (footer++ == 1)
				cr_expect_str_eq(line,
						 "#[Max     =    10000.000, "
						 "Total count    =        "
						 "10000]");
			continue;
		}
		data++;
		cr_assert_eq(footer, 0);
		cr_assert_geq(n, 3, "%s", line);
		cr_expect_eq(n, share < 1 ? 4 : 3, "%s", line);
		if (n == 4)
			cr_expect_float_eq(inverse, 1 / (1 - share),
					   0.01 * inverse);
	}
	cr_expect_gt(data, 20);
	cr_expect_eq(footer, 3);
	free(text);
}
