/*
 * svg: see svg.h.
 *
 * Bars: a panel for each group, servers below each other, so that names can be
 * read and lengths compared; each panel has a scale of its own, for a deep
 * pipeline is tens of times a shallow one. Lines: both axes logarithmic, for
 * what is compared are ratios.
 */
#include "bench/svg.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define COLOURS 6u

/* Panels of bars. */
#define BAR_WIDTH 380
#define BAR_STEP 24
#define BAR_HEIGHT 15
#define BAR_LEFT 120
#define BAR_ROOM 186 /* for the longest; its figure stands behind it */
#define BAR_TOP 30

/* Line plots. */
#define LINE_WIDTH 560
#define LINE_HEIGHT 330
#define LINE_LEFT 58
#define LINE_RIGHT 30
#define LINE_TOP 12
#define LINE_BOTTOM 44
#define TICKS_MAX 16
#define WORDS 96

void jt_svg_text(FILE *to, const char *text)
{
	for (; text && *text; text++) {
		if (*text == '&')
			fputs("&amp;", to);
		else if (*text == '<')
			fputs("&lt;", to);
		else if (*text == '>')
			fputs("&gt;", to);
		else if (*text == '"')
			fputs("&quot;", to);
		else if ((unsigned char)*text >= ' ')
			fputc(*text, to);
	}
}

const char *jt_svg_short(double x, char out[24])
{
	static const struct {
		double unit;
		const char *name;
	} units[] = {{1e9, " G"}, {1e6, " M"}, {1e3, " k"}, {1, ""}};
	unsigned i = 0;
	double v;

	while (i < 3 && fabs(x) < units[i].unit * 0.9995)
		i++;
	v = x / units[i].unit;
	snprintf(out, 24, "%.*f%s",
		 fabs(v) >= 99.95   ? 0
		 : fabs(v) >= 9.995 ? 1
				    : 2,
		 v, units[i].name);
	return out;
}

static double number_at(const json_t *list, size_t i)
{
	return json_number_value(json_array_get(list, i));
}

static const char *string_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* The same server has the same colour in all plots. */
static unsigned colour_of(const char *name, size_t place)
{
	static const struct {
		const char *name;
		unsigned colour;
	} known[] = {{"jeton", 0}, {"get", 1}, {"floor", 5}};

	for (unsigned i = 0; i < 3; i++)
		if (strcmp(known[i].name, name) == 0)
			return known[i].colour;
	return (unsigned)(place % COLOURS);
}

/* ---- bars ---- */

/* The point of SERIES in group GROUP, or NULL. */
static const json_t *point_in(const json_t *series, size_t group)
{
	const json_t *points = json_object_get(series, "points"), *point;
	size_t i;

	json_array_foreach(points, i, point)
	{
		if (number_at(point, 0) == (double)group)
			return point;
	}
	return NULL;
}

static double highest(const json_t *all, size_t group)
{
	const json_t *series, *point;
	double most = 0;
	size_t i;

	json_array_foreach(all, i, series)
	{
		point = point_in(series, group);
		if (point && number_at(point, 1) > most)
			most = number_at(point, 1);
	}
	return most;
}

/* Ours in colour, others in grey; all in colour where nobody else is. */
static const char *class_of(const char *name)
{
	return strcmp(name, "jeton") == 0 || strcmp(name, "http") == 0
		       ? "own"
		       : "other";
}

static void draw_bar(FILE *to, const char *name, const json_t *point, int y,
		     double most, bool all_own)
{
	double v = number_at(point, 1), scale = BAR_ROOM / most;
	double low = number_at(point, 2) * scale;
	double high = number_at(point, 3) * scale;
	char text[24];

	fprintf(to, "<text class=\"name\" x=\"%d\" y=\"%d\">", BAR_LEFT - 8,
		y + 12);
	jt_svg_text(to, name);
	fprintf(to,
		"</text><rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" "
		"height=\"%d\" rx=\"2\"><title>",
		all_own ? "own" : class_of(name), BAR_LEFT, y, v * scale,
		BAR_HEIGHT);
	jt_svg_text(to, name);
	fprintf(to, ": %.0f (%.0f to %.0f)</title></rect>\n", v,
		number_at(point, 2), number_at(point, 3));
	if (high > BAR_ROOM)
		high = BAR_ROOM;
	fprintf(to,
		"<path class=\"whisker\" d=\"M%.1f %dH%.1f\"/>"
		"<text class=\"value\" x=\"%.1f\" y=\"%d\">%s</text>\n",
		BAR_LEFT + low, y + BAR_HEIGHT / 2, BAR_LEFT + high,
		BAR_LEFT + fmax(v * scale, high) + 6, y + 12,
		jt_svg_short(v, text));
}

static void draw_panel(FILE *to, const json_t *all, size_t group,
		       const char *title, bool all_own)
{
	double most = highest(all, group);
	const json_t *series, *point;
	int n = 0, y = BAR_TOP;
	size_t i;

	json_array_foreach(all, i, series)
	{
		n += point_in(series, group) != NULL;
	}
	if (!n || most <= 0)
		return;
	fprintf(to,
		"<svg viewBox=\"0 0 %d %d\" role=\"img\">"
		"<text class=\"panel\" x=\"%d\" y=\"16\">",
		BAR_WIDTH, BAR_TOP + n * BAR_STEP + 4, BAR_LEFT);
	jt_svg_text(to, title);
	fputs("</text>\n", to);
	json_array_foreach(all, i, series)
	{
		point = point_in(series, group);
		if (!point)
			continue;
		draw_bar(to, string_of(series, "name"), point, y, most,
			 all_own);
		y += BAR_STEP;
	}
	fputs("</svg>\n", to);
}

static void draw_bars(FILE *to, const json_t *plot)
{
	const json_t *groups = json_object_get(plot, "groups"), *group;
	const json_t *all = json_object_get(plot, "series"), *series;
	bool all_own = true;
	size_t i;

	json_array_foreach(all, i, series)
	{
		if (strcmp(class_of(string_of(series, "name")), "own") == 0)
			all_own = false;
	}
	fputs("<div class=\"panels\">\n", to);
	json_array_foreach(groups, i, group)
	{
		draw_panel(to, all, i, json_string_value(group), all_own);
	}
	fputs("</div>\n", to);
}

/* ---- lines ---- */

/* A logarithmic axis: VALUE between LOW and HIGH is FROM to TO on paper. */
struct axis {
	double low, high;
	double from, to;
};

static double place(const struct axis *a, double value)
{
	double part = log(value / a->low) / log(a->high / a->low);

	return a->from + part * (a->to - a->from);
}

/* Widen LOW and HIGH to what they are both divided by evenly. */
static void round_axis(struct axis *a)
{
	static const double steps[] = {1, 2, 5, 10};
	double unit = pow(10, floor(log10(a->low))), low = unit, high;

	for (unsigned i = 0; i < 4; i++)
		if (unit * steps[i] <= a->low * 1.0001)
			low = unit * steps[i];
	unit = pow(10, floor(log10(a->high)));
	high = unit * 10;
	for (unsigned i = 4; i-- > 0;)
		if (unit * steps[i] >= a->high * 0.9999)
			high = unit * steps[i];
	a->low = low;
	a->high = high > low ? high : low * 10;
}

/* 1, 2, 5 in each decade if they are few, else the decades alone. */
static unsigned choose_ticks(const struct axis *a, double ticks[TICKS_MAX])
{
	bool few = log10(a->high / a->low) < 3;
	static const double steps[] = {1, 2, 5};
	unsigned n = 0;

	for (double unit = pow(10, floor(log10(a->low)));
	     unit <= a->high * 1.0001; unit *= 10)
		for (unsigned i = 0; i < (few ? 3 : 1); i++)
			if (unit * steps[i] >= a->low * 0.9999 &&
			    unit * steps[i] <= a->high * 1.0001 &&
			    n < TICKS_MAX)
				ticks[n++] = unit * steps[i];
	return n;
}

/* Of all points: where X and Y lie. False: there is none to draw. */
static bool find_ranges(const json_t *all, struct axis *x, struct axis *y)
{
	const json_t *series, *point;
	size_t i, k;

	x->low = y->low = INFINITY;
	x->high = y->high = 0;
	json_array_foreach(all, i, series)
	{
		json_array_foreach(json_object_get(series, "points"), k, point)
		{
			double px = number_at(point, 0);
			double py = number_at(point, 1);

			if (!(px > 0) || !(py > 0))
				continue;
			x->low = fmin(x->low, px);
			x->high = fmax(x->high, px);
			y->low = fmin(y->low, py);
			y->high = fmax(y->high, py);
		}
	}
	if (!(x->high > 0))
		return false;
	if (x->high <= x->low)
		x->high = x->low * 10;
	return true;
}

/* 1 / (1 - share) as a percentile: 10 is "90", 1000 "99.9" */
static void percentile_words(double x, char out[WORDS])
{
	int digits = (int)lround(log10(x)) - 2;

	if (x < 1.5)
		snprintf(out, WORDS, "0 %%");
	else
		snprintf(out, WORDS, "%.*f %%", digits > 0 ? digits : 0,
			 100 * (1 - 1 / x));
}

/* A tick's number: 2, 50, 10 k, 1 M. */
static void tick_words(double x, char out[WORDS])
{
	const char *unit = x >= 1e6 ? " M" : x >= 1e4 ? " k" : "";

	snprintf(out, WORDS, "%g%s",
		 x >= 1e6   ? x / 1e6
		 : x >= 1e4 ? x / 1e3
			    : x,
		 unit);
}

/* A power of ten of tokens. */
static void power_words(double x, char out[WORDS])
{
	snprintf(out, WORDS, "10<tspan dy=\"-5\" class=\"power\">%ld</tspan>",
		 lround(log10(x)));
}

static void draw_axes(FILE *to, const struct axis *x, const struct axis *y,
		      bool percentiles, const json_t *plot)
{
	double ticks[TICKS_MAX];
	char words[WORDS];
	unsigned n = choose_ticks(y, ticks);

	for (unsigned i = 0; i < n; i++) {
		tick_words(ticks[i], words);
		fprintf(to,
			"<path class=\"grid\" d=\"M%d %.1fH%d\"/>"
			"<text class=\"tick end\" x=\"%d\" "
			"y=\"%.1f\">%s</text>\n",
			LINE_LEFT, place(y, ticks[i]), LINE_WIDTH - LINE_RIGHT,
			LINE_LEFT - 7, place(y, ticks[i]) + 4, words);
	}
	for (double t = pow(10, ceil(log10(x->low) - 1e-6));
	     t <= x->high * 1.01; t *= 10) {
		if (percentiles)
			percentile_words(t, words);
		else
			power_words(t, words);
		fprintf(to,
			"<path class=\"grid\" d=\"M%.1f %dV%d\"/>"
			"<text class=\"tick\" x=\"%.1f\" y=\"%d\">%s</text>\n",
			place(x, t), LINE_TOP, LINE_HEIGHT - LINE_BOTTOM,
			place(x, t), LINE_HEIGHT - LINE_BOTTOM + 17, words);
	}
	fprintf(to, "<text class=\"axis\" x=\"%d\" y=\"%d\">",
		(LINE_LEFT + LINE_WIDTH - LINE_RIGHT) / 2, LINE_HEIGHT - 6);
	jt_svg_text(to, string_of(plot, "x"));
	fprintf(to,
		"</text><text class=\"axis\" transform=\"translate(13 %d) "
		"rotate(-90)\">",
		(LINE_TOP + LINE_HEIGHT - LINE_BOTTOM) / 2);
	jt_svg_text(to, string_of(plot, "y"));
	fputs("</text>\n", to);
}

static void draw_line(FILE *to, const json_t *series, unsigned colour,
		      const struct axis *x, const struct axis *y, bool dots)
{
	const json_t *points = json_object_get(series, "points"), *point;
	bool first = true;
	size_t i;

	fprintf(to, "<path class=\"line c%u\" d=\"", colour);
	json_array_foreach(points, i, point)
	{
		if (!(number_at(point, 0) > 0) || !(number_at(point, 1) > 0))
			continue;
		fprintf(to, "%c%.1f %.1f", first ? 'M' : 'L',
			place(x, number_at(point, 0)),
			place(y, number_at(point, 1)));
		first = false;
	}
	fputs("\"/>\n", to);
	json_array_foreach(points, i, point)
	{
		if (!dots || !(number_at(point, 0) > 0) ||
		    !(number_at(point, 1) > 0))
			continue;
		fprintf(to,
			"<circle class=\"dot c%u\" cx=\"%.1f\" cy=\"%.1f\" "
			"r=\"3.5\"><title>",
			colour, place(x, number_at(point, 0)),
			place(y, number_at(point, 1)));
		jt_svg_text(to, string_of(series, "name"));
		fprintf(to, " at %.0f: %.1f (%.1f to %.1f)</title></circle>\n",
			number_at(point, 0), number_at(point, 1),
			number_at(point, 2), number_at(point, 3));
	}
}

static void draw_lines(FILE *to, const json_t *plot, bool percentiles)
{
	const json_t *all = json_object_get(plot, "series"), *series;
	struct axis x = {.from = LINE_LEFT, .to = LINE_WIDTH - LINE_RIGHT};
	struct axis y = {.from = LINE_HEIGHT - LINE_BOTTOM, .to = LINE_TOP};
	size_t i;

	if (!find_ranges(all, &x, &y))
		return;
	round_axis(&y);
	fputs("<div class=\"legend\">", to);
	json_array_foreach(all, i, series)
	{
		fprintf(to, "<span class=\"key c%u\">",
			colour_of(string_of(series, "name"), i));
		jt_svg_text(to, string_of(series, "name"));
		fputs("</span>", to);
	}
	fprintf(to, "</div>\n<svg viewBox=\"0 0 %d %d\" role=\"img\">\n",
		LINE_WIDTH, LINE_HEIGHT);
	draw_axes(to, &x, &y, percentiles, plot);
	json_array_foreach(all, i, series)
	{
		draw_line(to, series, colour_of(string_of(series, "name"), i),
			  &x, &y, !percentiles);
	}
	fputs("</svg>\n", to);
}

void jt_svg_plot(FILE *to, const json_t *plot)
{
	const char *kind = string_of(plot, "kind");
	bool bars = strcmp(kind, "bars") == 0;

	fprintf(to, "<figure class=\"%s\"><h3>", bars ? "wide" : "half");
	jt_svg_text(to, string_of(plot, "title"));
	fputs("</h3>\n", to);
	if (bars)
		draw_bars(to, plot);
	else
		draw_lines(to, plot, strcmp(kind, "percentiles") == 0);
	fputs("<figcaption>", to);
	if (bars) {
		jt_svg_text(to, string_of(plot, "y"));
		fputs(". ", to);
	}
	jt_svg_text(to, string_of(plot, "note"));
	fputs("</figcaption></figure>\n", to);
}
