/* page: see page.h. */
#include "bench/page.h"

#include "bench/findings.h"
#include "bench/goals.h"
#include "bench/keep.h"
#include "bench/svg.h"

#include <string.h>
#include <time.h>

/* The style stays a file of its own; the linker carries it along. */
__asm__(".pushsection .rodata\n"
	"page_css: .incbin \"bench/page.css\"\n"
	".byte 0\n"
	".popsection\n");
extern const char page_css[];

static double number_of(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static struct jt_summary read_summary(const json_t *o)
{
	return (struct jt_summary){
		.n = 1,
		.median = number_of(o, "median"),
		.low = number_of(o, "low"),
		.high = number_of(o, "high"),
		.stolen = number_of(o, "stolen"),
		.foreign = number_of(o, "foreign"),
	};
}

static const char *string_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static const json_t *goal_in(const json_t *findings, const char *key)
{
	const json_t *goal;
	size_t i;

	json_array_foreach(json_object_get(findings, "goals"), i, goal)
	{
		if (strcmp(string_of(goal, "key"), key) == 0)
			return goal;
	}
	return NULL;
}

/* What was found of G: by the last file that knows, or all of them added. */
static bool find_goal(const json_t *all, const struct jt_goal *g,
		      struct jt_summary *out)
{
	const json_t *findings, *goal;
	double before;
	size_t i;

	memset(out, 0, sizeof(*out));
	json_array_foreach(all, i, findings)
	{
		goal = goal_in(findings, g->key);
		if (!goal)
			continue;
		before = g->sums ? out->median : 0;
		out->n++;
		out->median = number_of(goal, "median") + before;
		out->low = g->sums ? out->median : number_of(goal, "low");
		out->high = g->sums ? out->median : number_of(goal, "high");
		out->stolen = number_of(goal, "stolen");
		out->foreign = number_of(goal, "foreign");
	}
	return out->n > 0;
}

/* "1.24", "129", "0.287": three digits at least. */
static const char *figure(double x, char out[32])
{
	snprintf(out, 32, "%.*f",
		 x == 0 || x >= 99.95 ? 0
		 : x >= 9.995	      ? 1
		 : x >= 1	      ? 2
				      : 3,
		 x);
	return out;
}

static void interval(const struct jt_summary *s, char out[80])
{
	char low[32], high[32];

	if (s->low == s->high)
		out[0] = '\0';
	else
		snprintf(out, 80, "%s to %s", figure(s->low, low),
			 figure(s->high, high));
}

void jt_page_print_goals(FILE *to, const json_t *findings)
{
	char value[32], range[80], kept[64];
	struct jt_summary s;

	fprintf(to, "%-79s %8s  %-16s %5s %5s\n", "goal", "found",
		"95 % interval", "must", "aim");
	for (size_t i = 0; i < jt_n_goals; i++) {
		const struct jt_goal *g = &jt_goals[i];

		if (!find_goal(findings, g, &s)) {
			fprintf(to,
				"%-79.79s %8s  %-16s %5g %5g  not measured "
				"(jeton-bench %s)\n",
				g->words, "-", "", g->must, g->aim, g->verb);
			continue;
		}
		interval(&s, range);
		fprintf(to, "%-79.79s %8s  %-16s %5g %5g  %s%s%s\n", g->words,
			figure(s.median, value), range, g->must, g->aim,
			jt_goal_judge(g, s.median),
			*jt_keep_words(&s, kept) ? ", " : "", kept);
	}
}

static void write_cell(FILE *to, const char *class, const char *text)
{
	fprintf(to, "<td%s%s%s>", *class ? " class=\"" : "", class,
		*class ? "\"" : "");
	jt_svg_text(to, text);
	fputs("</td>", to);
}

/* The words of a goal: 10^6 with its power raised. */
static void write_words(FILE *to, const char *words)
{
	fputs("<td>", to);
	for (; *words; words++)
		if (words[0] == '^' && words[1])
			fprintf(to, "<sup>%c</sup>", *++words);
		else
			fputc(*words, to);
	fputs("</td>", to);
}

static void write_mark(FILE *to, const struct jt_goal *g, bool found,
		       const struct jt_summary *s)
{
	char kept[64];

	const char *words =
		found ? jt_goal_judge(g, s->median) : "not measured";
	const char *class = !found	      ? ""
			    : words[0] == 'a' ? " aim"
			    : words[0] == 'r' ? " must"
					      : " not";

	fprintf(to, "<td><span class=\"mark%s\">%s</span></td>", class, words);
	write_cell(to, "soft", jt_keep_words(s, kept));
	fputs("</tr>\n", to);
}

static void write_goals(FILE *to, const json_t *all)
{
	char text[80];
	struct jt_summary s;

	fputs("<h2>What must be reached</h2>\n<div class=\"scroll\"><table>"
	      "<tr><th>Quantity</th><th>Found</th><th>95 % interval</th>"
	      "<th>Must</th><th>Aim</th><th></th><th></th></tr>\n",
	      to);
	for (size_t i = 0; i < jt_n_goals; i++) {
		const struct jt_goal *g = &jt_goals[i];
		bool found = find_goal(all, g, &s);

		fputs("<tr>", to);
		write_words(to, g->words);
		write_cell(to, "figure", found ? figure(s.median, text) : "");
		interval(&s, text);
		write_cell(to, "soft", found ? text : "");
		snprintf(text, sizeof(text), "%s%g", g->least ? "≤ " : "≥ ",
			 g->must);
		write_cell(to, "soft", text);
		snprintf(text, sizeof(text), "%s%g", g->least ? "≤ " : "≥ ",
			 g->aim);
		write_cell(to, "soft", text);
		write_mark(to, g, found, &s);
	}
	fputs("</table></div>\n", to);
}

static void write_plots(FILE *to, const json_t *all)
{
	const json_t *findings, *plot;
	size_t i, k;

	fputs("<h2>Plots</h2>\n<div class=\"plots\">\n", to);
	json_array_foreach(all, i, findings)
	{
		json_array_foreach(json_object_get(findings, "plots"), k, plot)
		{
			jt_svg_plot(to, plot);
		}
	}
	fputs("</div>\n", to);
}

static void write_ratios(FILE *to, const json_t *all)
{
	const json_t *findings, *ratio;
	char value[32], range[80], kept[64];
	struct jt_summary s;
	size_t i, k;

	fputs("<h2>All ratios</h2>\n<p>Each is the median of the ratios within "
	      "the rounds of one run, with a 95 % bootstrap interval. What "
	      "<em>noise</em> says is how far a subject is from itself: a "
	      "smaller difference than that is none.</p>\n"
	      "<div class=\"scroll\"><table><tr><th>Ratio</th><th>Median</th>"
	      "<th>95 % interval</th><th>Rounds</th><th></th></tr>\n",
	      to);
	json_array_foreach(all, i, findings)
	{
		json_array_foreach(json_object_get(findings, "ratios"), k,
				   ratio)
		{
			s = read_summary(ratio);
			interval(&s, range);
			fputs("<tr>", to);
			write_cell(to, "", string_of(ratio, "words"));
			write_cell(to, "figure", figure(s.median, value));
			write_cell(to, "soft", range);
			snprintf(value, sizeof(value), "%.0f",
				 number_of(ratio, "n"));
			write_cell(to, "soft", value);
			write_cell(to, "soft", jt_keep_words(&s, kept));
			fputs("</tr>\n", to);
		}
	}
	fputs("</table></div>\n", to);
}

static void write_table(FILE *to, const json_t *table)
{
	const json_t *row, *cell;
	size_t i, k;

	fputs("<h3>", to);
	jt_svg_text(to, string_of(table, "title"));
	fputs("</h3>\n<div class=\"scroll\"><table><tr>", to);
	json_array_foreach(json_object_get(table, "columns"), i, cell)
	{
		fputs("<th>", to);
		jt_svg_text(to, json_string_value(cell));
		fputs("</th>", to);
	}
	fputs("</tr>\n", to);
	json_array_foreach(json_object_get(table, "rows"), i, row)
	{
		fputs("<tr>", to);
		json_array_foreach(row, k, cell)
		{
			write_cell(to, "", json_string_value(cell));
		}
		fputs("</tr>\n", to);
	}
	fputs("</table></div><br>\n", to);
}

static void write_tables(FILE *to, const json_t *all)
{
	const json_t *findings, *table;
	size_t i, k;

	fputs("<h2>Figures</h2>\n<p>Medians over the slices that were kept. "
	      "These hold for this machine; ratios hold for others, too.</p>\n",
	      to);
	json_array_foreach(all, i, findings)
	{
		json_array_foreach(json_object_get(findings, "tables"), k,
				   table)
		{
			write_table(to, table);
		}
	}
}

static void write_facts(FILE *to, const json_t *facts)
{
	const json_t *value;
	const char *key;

	fputs("<dl>", to);
	json_object_foreach((json_t *)(uintptr_t)facts, key, value)
	{
		fputs("<dt>", to);
		jt_svg_text(to, key);
		fputs("</dt><dd>", to);
		if (json_is_string(value))
			jt_svg_text(to, json_string_value(value));
		else if (json_is_boolean(value))
			fputs(json_is_true(value) ? "yes" : "no", to);
		else
			fprintf(to, "%.10g", json_number_value(value));
		fputs("</dd>\n", to);
	}
	fputs("</dl>\n", to);
}

static void write_conditions(FILE *to, const json_t *all)
{
	const json_t *findings;
	size_t i;

	fputs("<h2>Machine and conditions</h2>\n", to);
	write_facts(to, json_object_get(json_array_get(all, 0), "machine"));
	json_array_foreach(all, i, findings)
	{
		fputs("<h3>jeton-bench ", to);
		jt_svg_text(to, string_of(findings, "verb"));
		fputs("</h3>\n", to);
		write_facts(to, json_object_get(findings, "flags"));
	}
}

static void write_head(FILE *to, const json_t *all, const char *commit)
{
	const json_t *machine =
		json_object_get(json_array_get(all, 0), "machine");
	time_t now = time(NULL);
	struct tm utc;
	char date[32];

	gmtime_r(&now, &utc);
	strftime(date, sizeof(date), "%Y-%m-%d", &utc);
	fprintf(to,
		"<!DOCTYPE html>\n<html lang=\"en\"><head>"
		"<meta charset=\"utf-8\"><meta name=\"viewport\" "
		"content=\"width=device-width\"><title>jeton, measured</title>"
		"<style>\n%s</style></head><body><main>\n"
		"<h1>jeton, measured</h1>\n<p>",
		page_css);
	fprintf(to, "%s, version %s", date,
		string_of(json_array_get(all, 0), "version"));
	if (*commit) {
		fputs(", commit ", to);
		jt_svg_text(to, commit);
	}
	fputs(". ", to);
	jt_svg_text(to, string_of(machine, "cpu"));
	fputs(", ", to);
	jt_svg_text(to, string_of(machine, "kernel"));
	fputs(". Everything that is compared was measured in one run, in short "
	      "slices that take turns, with the server on one core and the "
	      "client on another.</p>\n",
	      to);
}

void jt_page_write(FILE *to, const json_t *findings, const char *commit)
{
	write_head(to, findings, commit);
	write_goals(to, findings);
	write_plots(to, findings);
	write_ratios(to, findings);
	write_tables(to, findings);
	write_conditions(to, findings);
	fputs("</main></body></html>\n", to);
}
