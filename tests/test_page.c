/* page and svg: what is found is shown, and whatever is in it is only text. */
#include "bench/findings.h"
#include "bench/page.h"
#include "bench/svg.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const struct jt_machine machine = {
	.kernel = "Linux <script>", .cpu = "a & b", .cpus = 2};

static char *page_of(json_t *all, const char *commit)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *f = open_memstream(&text, &bytes);

	jt_page_write(f, all, commit);
	fclose(f);
	return text;
}

static char *goals_of(json_t *all)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *f = open_memstream(&text, &bytes);

	jt_page_print_goals(f, all);
	fclose(f);
	return text;
}

/* The line that begins with WORDS. */
static const char *line_of(const char *text, const char *words)
{
	static char line[512];
	const char *at = strstr(text, words);

	cr_assert_not_null(at, "no line '%s'", words);
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
	return line;
}

Test(page, a_figure_of_disturbed_slices_says_so)
{
	const struct jt_summary s = {
		.n = 3,
		.median = 4.5,
		.low = 4.4,
		.high = 4.6,
		.stolen = 0.021,
	};
	json_t *f = jt_findings_new("run", &machine);
	json_t *all = json_pack("[o]", f);
	char *text;

	jt_findings_goal(f, "rate_p64_get", &s);
	text = goals_of(all);
	cr_expect(strstr(line_of(text, "pipeline 64: throughput / Redis GET"),
			 " reached, kept with 2.1 % stolen"));
	cr_expect_null(strstr(line_of(text, "pipeline 64: throughput / floor"),
			      "kept with"));
	free(text);
	json_decref(all);
}

Test(page, a_goal_is_told_with_what_was_found)
{
	const struct jt_summary s = {
		.n = 20,
		.median = 4.5,
		.low = 4.4,
		.high = 4.6,
	};
	json_t *f = jt_findings_new("run", &machine);
	json_t *all = json_pack("[o]", f);
	char *text;

	jt_findings_goal(f, "rate_p64_get", &s);
	text = goals_of(all);
	cr_expect(strstr(line_of(text, "pipeline 64: throughput / Redis GET"),
			 " 4.50  4.40 to 4.60 "));
	cr_expect(strstr(line_of(text, "pipeline 64: throughput / Redis GET"),
			 " reached"));
	cr_expect(strstr(line_of(text, "pipeline 64: throughput / floor"),
			 "not measured (jeton-bench run)"));
	free(text);
	json_decref(all);
}

Test(page, of_a_goal_in_several_files_the_last_counts)
{
	json_t *a = jt_findings_new("run", &machine);
	json_t *b = jt_findings_new("run", &machine);
	json_t *all = json_pack("[o,o]", a, b);
	char *text;

	jt_findings_figure(a, "rate_p1_get", 3);
	jt_findings_figure(b, "rate_p1_get", 0.5);
	text = goals_of(all);
	cr_expect(strstr(line_of(text, "pipeline 1, 50 connections: through"),
			 "NOT reached"));
	free(text);
	json_decref(all);
}

Test(page, admissions_beyond_the_limit_are_added_up)
{
	json_t *a = jt_findings_new("run", &machine);
	json_t *b = jt_findings_new("table", &machine);
	json_t *all = json_pack("[o,o]", a, b);
	char *text;

	jt_findings_figure(a, "admitted_beyond", 1);
	jt_findings_figure(b, "admitted_beyond", 0);
	text = goals_of(all);
	cr_expect(strstr(line_of(text, "admitted beyond"), "NOT reached"));
	free(text);
	json_decref(all);
}

static void expect_nothing_from_elsewhere(const char *page)
{
	static const char *const loads[] = {
		"http://", "https://", "src=",	"href=",  "url(",
		"@import", "<script",  "<link", "<iframe"};

	for (unsigned i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
		cr_expect_null(strstr(page, loads[i]), "%s", loads[i]);
}

static json_t *everything(void)
{
	json_t *f = jt_findings_new("run", &machine), *p, *s;
	const struct jt_summary one = {
		.n = 3,
		.median = 2,
		.low = 1,
		.high = 3,
	};

	jt_findings_flag(f, "seed", json_integer(1));
	jt_findings_ratio(f, "a < b & \"c\"", &one);
	jt_findings_row(jt_findings_table(f, "T", "|n"), "%s|%d", "<i>", 3);
	p = jt_findings_plot(f, "bars", "bars <b>", "", "per second", "n & m");
	jt_plot_group(p, "g<");
	s = jt_plot_series(p, "jeton");
	jt_plot_point(s, 0, 10, 9, 11);
	p = jt_findings_plot(f, "lines", "lines", "tokens", "ns", "");
	s = jt_plot_series(p, "single");
	jt_plot_point(s, 1000, 10, 9, 11);
	jt_plot_point(s, 1e6, 300, 290, 310);
	p = jt_findings_plot(f, "percentiles", "curves", "p", "us", "");
	s = jt_plot_series(p, "jeton");
	jt_plot_point(s, 1, 10, 10, 10);
	jt_plot_point(s, 1000, 90, 90, 90);
	return json_pack("[o]", f);
}

Test(page, loads_nothing_and_escapes_everything)
{
	json_t *all = everything();
	char *page = page_of(all, "<img src=x>");

	/* `src=` is there as text alone */
	cr_expect_not_null(strstr(page, "&lt;img src=x&gt;"));
	cr_expect_null(strstr(page, "<img"));
	free(page);
	page = page_of(all, "");
	expect_nothing_from_elsewhere(page);
	cr_expect_not_null(strstr(page, "Linux &lt;script&gt;"));
	cr_expect_not_null(strstr(page, "a &lt; b &amp; &quot;c&quot;"));
	cr_expect_not_null(strstr(page, "<td>&lt;i&gt;</td>"));
	free(page);
	json_decref(all);
}

Test(page, every_svg_is_closed_and_no_number_is_broken)
{
	json_t *all = everything();
	char *page = page_of(all, "");
	unsigned opened = 0;

	for (const char *at = page; (at = strstr(at, "<svg")); at++) {
		opened++;
		cr_expect_not_null(strstr(at, "</svg>"));
	}
	cr_expect_eq(opened, 3);
	cr_expect_null(strstr(page, "nan"));
	cr_expect_null(strstr(page, "inf\""));
	free(page);
	json_decref(all);
}

/* Files are written by others: nothing in them is taken for granted. */
Test(page, findings_that_lack_everything_are_shown_as_little)
{
	static const char *const odd[] = {
		"[{\"goals\":[]}]",
		"[{\"goals\":[1,{}],\"ratios\":[{}],\"tables\":[{}],"
		"\"plots\":[{},{\"kind\":\"lines\",\"series\":[{}]}]}]",
		"[{\"goals\":[],\"plots\":[{\"kind\":\"bars\",\"groups\":[1],"
		"\"series\":[{\"points\":[[0]]}]}]}]",
		"[{\"goals\":[],\"plots\":[{\"kind\":\"lines\",\"series\":"
		"[{\"points\":[[-1,5],[1e308,1e308],[1e-308,1]]}]}]}]",
	};

	for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		json_t *all = json_loads(odd[i], 0, NULL);
		char *page;

		cr_assert_not_null(all, "%u", i);
		page = page_of(all, "");
		cr_expect_not_null(strstr(page, "</html>"));
		free(page);
		json_decref(all);
	}
}

Test(svg, short_numbers_keep_three_digits)
{
	char out[24];

	cr_expect_str_eq(jt_svg_short(9460000, out), "9.46 M");
	cr_expect_str_eq(jt_svg_short(392075, out), "392 k");
	cr_expect_str_eq(jt_svg_short(4089, out), "4.09 k");
	cr_expect_str_eq(jt_svg_short(999.7, out), "1.00 k");
	cr_expect_str_eq(jt_svg_short(12.34, out), "12.3");
	cr_expect_str_eq(jt_svg_short(0.5, out), "0.50");
}
