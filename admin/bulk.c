/*
 * bulk: see bulk.h. The parser (libcsv, strict) is fed a line at a time, so
 * that faults can name lines; it keeps a field that spans lines itself.
 */
#include "admin/bulk.h"
#include "admin/output.h"

#include <csv.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CELL_MAX JT_SCOPES_TEXT /* no valid cell is as long */
#define COLUMNS_MAX 16
#define ROW_MAX 65536u
#define FAULTS_MAX 10
#define CHUNK 65536u

struct table {
	const char *path;
	const char *const *defaults;
	uint64_t now_s;
	struct jt_issue *issue;
	struct csv_parser parser;
	/* column of the file -> column of ours */
	enum jt_column map[COLUMNS_MAX];
	size_t n_map;
	bool seen[JT_COLUMNS_N];
	/* the row at hand */
	char cells[JT_COLUMNS_N][CELL_MAX];
	size_t n_cells;
	size_t row_bytes;
	uint64_t line, row_line; /* where it is, where the row began */
	bool header_done, row_bad;
	uint64_t faults;
	int fatal; /* exit code: no use to read on */
};

static void fault(struct table *t, const char *column, const char *why)
{
	t->row_bad = true;
	if (t->faults++ < FAULTS_MAX)
		jt_fail(JT_EXIT_USAGE, "%s:%llu: %s %s", t->path,
			(unsigned long long)t->row_line, column, why);
}

static void header_cell(struct table *t, const char *text, size_t bytes)
{
	enum jt_column column = 0;

	if (t->n_map == 0 && bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3, bytes -= 3;
	while (column < JT_COLUMNS_N &&
	       (strlen(jt_column_names[column]) != bytes ||
		memcmp(jt_column_names[column], text, bytes) != 0))
		column++;
	if (column == JT_COLUMNS_N || t->n_map == COLUMNS_MAX) {
		t->fatal = jt_fail(
			JT_EXIT_USAGE,
			"%s:%llu: column %zu is called `%.*s`; known "
			"are name, expires, env, owner, rate, burst, quota, "
			"plan, scopes",
			t->path, (unsigned long long)t->row_line, t->n_map + 1,
			bytes <= 20 ? (int)bytes : 0, text);
		return;
	}
	if (t->seen[column])
		t->fatal = jt_fail(JT_EXIT_USAGE,
				   "%s:%llu: column %s stands there twice",
				   t->path, (unsigned long long)t->row_line,
				   jt_column_names[column]);
	t->seen[column] = true;
	t->map[t->n_map++] = column;
}

/* libcsv: a cell is complete. */
static void on_cell(void *text, size_t bytes, void *data)
{
	struct table *t = data;
	const char *name;
	char *cell;

	if (t->fatal)
		return;
	if (!t->header_done) {
		header_cell(t, text, bytes);
		return;
	}
	if (t->n_cells++ >= t->n_map) {
		if (t->n_cells == t->n_map + 1)
			fault(t, "the row", "has more cells than the header");
		return;
	}
	name = jt_column_names[t->map[t->n_cells - 1]];
	cell = t->cells[t->map[t->n_cells - 1]];
	if (bytes >= CELL_MAX)
		fault(t, name, "is far too long");
	else if (memchr(text, '\0', bytes))
		fault(t, name, "holds a zero byte");
	else
		memcpy(cell, text, bytes), cell[bytes] = '\0';
}

static void add_row(struct table *t)
{
	const char *text[JT_COLUMNS_N];
	enum jt_column column;
	char why[JT_WHY_MAX];
	struct jt_draft d;
	int e;

	for (size_t i = 0; i < JT_COLUMNS_N; i++)
		text[i] = t->cells[i][0] ? t->cells[i] : t->defaults[i];
	if (!jt_draft_parse(text, &t->issue->rules, t->now_s, &d, &column,
			    why)) {
		fault(t, jt_column_names[column], why);
		return;
	}
	e = jt_issue_add(t->issue, &d);
	if (e == JT_ISSUE_E_LIMITS)
		fault(t, "rate", "is one different limit too many (65535)");
	else if (e == JT_ISSUE_E_SETS)
		fault(t, "scopes", "is one different list too many (8191)");
	else if (e == JT_ISSUE_E_MANY)
		t->fatal = jt_fail(JT_EXIT_USAGE,
				   "%s has more than %u rows; split it",
				   t->path, JT_ISSUE_MAX);
	else if (e)
		t->fatal =
			jt_fail(JT_EXIT_FILE, "%s: not enough memory", t->path);
}

/* libcsv: a row is complete. */
static void on_row(int end, void *data)
{
	struct table *t = data;

	if (t->fatal)
		return;
	if (t->header_done && !t->row_bad)
		add_row(t);
	if (!t->header_done && !t->seen[JT_COL_name])
		t->fatal = jt_fail(JT_EXIT_USAGE,
				   "%s:%llu: the header has no column `name`",
				   t->path, (unsigned long long)t->row_line);
	t->header_done = true;
	t->row_bad = false;
	t->n_cells = 0;
	t->row_bytes = 0;
	for (size_t i = 0; i < JT_COLUMNS_N; i++)
		t->cells[i][0] = '\0';
}

static void syntax(struct table *t)
{
	if (!t->fatal)
		t->fatal =
			jt_fail(JT_EXIT_USAGE,
				"%s:%llu: not CSV: a quote stands where none "
				"may; double quotes inside quoted cells",
				t->path, (unsigned long long)t->row_line);
}

/* One line or a piece of one. */
static void feed(struct table *t, const char *text, size_t bytes)
{
	if (t->row_bytes == 0)
		t->row_line = t->line;
	t->row_bytes += bytes;
	if (t->row_bytes > ROW_MAX && !t->fatal)
		t->fatal = jt_fail(JT_EXIT_USAGE,
				   "%s:%llu: the row is longer than %u bytes; "
				   "is a quote open?",
				   t->path, (unsigned long long)t->row_line,
				   ROW_MAX);
	if (!t->fatal &&
	    csv_parse(&t->parser, text, bytes, on_cell, on_row, t) != bytes)
		syntax(t);
	/* an empty line is no row for the parser and calls nobody */
	if (bytes == 1 && t->row_bytes == 1)
		t->row_bytes = 0;
}

static int read_all(struct table *t, FILE *in)
{
	char *chunk = malloc(CHUNK);
	size_t n;

	if (!chunk)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	while (!t->fatal && (n = fread(chunk, 1, CHUNK, in)) > 0) {
		for (char *at = chunk, *stop = chunk + n; at < stop;) {
			char *nl = memchr(at, '\n', (size_t)(stop - at));
			char *next = nl ? nl + 1 : stop;

			feed(t, at, (size_t)(next - at));
			t->line += nl != NULL;
			at = next;
		}
	}
	if (ferror(in) && !t->fatal)
		t->fatal = jt_fail(JT_EXIT_FILE, "%s: %s", t->path,
				   strerror(errno));
	if (!t->fatal && csv_fini(&t->parser, on_cell, on_row, t) != 0)
		syntax(t);
	free(chunk);
	return t->fatal;
}

static int judge(const struct table *t)
{
	if (t->faults)
		return jt_fail(JT_EXIT_USAGE,
			       "%s: %llu faults, nothing was created; correct "
			       "them and run it again",
			       t->path, (unsigned long long)t->faults);
	if (t->issue->n == 0)
		return jt_fail(JT_EXIT_USAGE,
			       "%s has no rows; it needs a header with `name` "
			       "and a row for each token",
			       t->path);
	return 0;
}

int jt_bulk_read(const char *path, const char *const defaults[JT_COLUMNS_N],
		 uint64_t now_s, struct jt_issue *s)
{
	struct table *t = calloc(1, sizeof(*t));
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	int e;

	if (!in) {
		free(t);
		return jt_fail(JT_EXIT_FILE,
			       "%s: %s; name a file that can be "
			       "read with --from",
			       path, strerror(errno));
	}
	if (!t || csv_init(&t->parser, CSV_STRICT | CSV_STRICT_FINI) != 0) {
		free(t);
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	}
	t->path = path;
	t->defaults = defaults;
	t->now_s = now_s;
	t->issue = s;
	t->line = 1;
	e = read_all(t, in);
	if (e == 0)
		e = judge(t);
	csv_free(&t->parser);
	if (in != stdin)
		fclose(in);
	free(t);
	return e;
}

void jt_bulk_write_header(FILE *out)
{
	fputs("id,name,token\n", out);
}

void jt_bulk_write(FILE *out, const struct jt_record *r,
		   const char token[JT_TOKEN_BYTES])
{
	const char *name = r->token.name;
	size_t n = strnlen(name, JT_NAME_MAX);

	fwrite(r->token.id, 1, JT_ID_BYTES, out);
	fputc(',', out);
	if (memchr(name, ',', n) || memchr(name, '"', n) || name[0] == ' ' ||
	    name[n - 1] == ' ')
		csv_fwrite(out, name, n);
	else
		fwrite(name, 1, n, out);
	fputc(',', out);
	fwrite(token, 1, JT_TOKEN_BYTES, out);
	fputc('\n', out);
}
