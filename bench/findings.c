/* findings: see findings.h. */
#include "bench/findings.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ROW_MAX 512

static json_t *machine_json(const struct jt_machine *m)
{
	return json_pack(
		"{s:s,s:s,s:i,s:i,s:i,s:s,s:s,s:s,s:f,s:i}", "kernel",
		m->kernel, "cpu", m->cpu, "cpus", (int)m->cpus, "server_cpu",
		m->server_cpu, "client_cpu", m->client_cpu, "thp_shmem",
		m->thp_shmem, "thp", m->thp, "mitigations", m->mitigations,
		"memory_gb", m->memory_gb, "page_bytes", (int)m->page_bytes,
		"compiler", __VERSION__, "libsodium", sodium_version_string());
}

json_t *jt_findings_new(const char *verb, const struct jt_machine *m)
{
	return json_pack("{s:s,s:s,s:o,s:{},s:[],s:[],s:[],s:[]}", "verb", verb,
			 "version", JT_VERSION, "machine", machine_json(m),
			 "flags", "goals", "ratios", "tables", "plots");
}

static void append(json_t *f, const char *list, json_t *what)
{
	json_array_append_new(json_object_get(f, list), what);
}

void jt_findings_flag(json_t *f, const char *key, json_t *value)
{
	json_object_set_new(json_object_get(f, "flags"), key, value);
}

json_t *jt_summary_json(const struct jt_summary *s)
{
	return json_pack("{s:f,s:f,s:f,s:i,s:f,s:f}", "median", s->median,
			 "low", s->low, "high", s->high, "n", (int)s->n,
			 "stolen", s->stolen, "foreign", s->foreign);
}

static void add_summary(json_t *f, const char *list, const char *key,
			const char *value, const struct jt_summary *s)
{
	json_t *one;

	if (!s->n)
		return;
	one = jt_summary_json(s);
	json_object_set_new(one, key, json_string(value));
	append(f, list, one);
}

void jt_findings_goal(json_t *f, const char *key, const struct jt_summary *s)
{
	add_summary(f, "goals", "key", key, s);
}

void jt_findings_figure(json_t *f, const char *key, double value)
{
	const struct jt_summary s = {
		.n = 1,
		.median = value,
		.low = value,
		.high = value,
	};

	jt_findings_goal(f, key, &s);
}

void jt_findings_ratio(json_t *f, const char *words, const struct jt_summary *s)
{
	add_summary(f, "ratios", "words", words, s);
}

/* "a|b|c" as a list. */
static json_t *split(char *text)
{
	json_t *list = json_array();
	char *one;

	while ((one = strsep(&text, "|")))
		json_array_append_new(list, json_string(one));
	return list;
}

json_t *jt_findings_table(json_t *f, const char *title, const char *columns)
{
	char text[ROW_MAX];
	json_t *t;

	snprintf(text, sizeof(text), "%s", columns);
	t = json_pack("{s:s,s:o,s:[]}", "title", title, "columns", split(text),
		      "rows");
	append(f, "tables", t);
	return t;
}

void jt_findings_row(json_t *table, const char *format, ...)
{
	char text[ROW_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	append(table, "rows", split(text));
}

json_t *jt_findings_plot(json_t *f, const char *kind, const char *title,
			 const char *x, const char *y, const char *note)
{
	json_t *p = json_pack("{s:s,s:s,s:s,s:s,s:s,s:[],s:[]}", "kind", kind,
			      "title", title, "x", x, "y", y, "note", note,
			      "groups", "series");

	append(f, "plots", p);
	return p;
}

json_t *jt_plot_series(json_t *plot, const char *name)
{
	json_t *s = json_pack("{s:s,s:[]}", "name", name, "points");

	append(plot, "series", s);
	return s;
}

void jt_plot_group(json_t *plot, const char *name)
{
	append(plot, "groups", json_string(name));
}

void jt_plot_point(json_t *series, double x, double y, double low, double high)
{
	append(series, "points", json_pack("[f,f,f,f]", x, y, low, high));
}

int jt_findings_write(json_t *f, const char *path)
{
	int r;

	errno = EIO;
	r = json_dump_file(f, path, JSON_INDENT(1)) ? -errno : 0;
	if (r)
		fprintf(stderr, "jeton-bench: %s: %s\n", path, strerror(-r));
	json_decref(f);
	return r;
}
