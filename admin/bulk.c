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

#define EXTRA JT_COLUMNS_N /* the extra column stands behind ours */
#define PLACES (JT_COLUMNS_N + 1)

struct table {
	struct jt_bulk *bulk;
	struct csv_parser parser;
	size_t map[COLUMNS_MAX]; /* column of the file -> column of ours */
	size_t n_map;
	bool seen[PLACES];
	/* the row at hand */
	char cells[PLACES][CELL_MAX];
	size_t n_cells;
	size_t row_bytes;
	uint64_t line, row_line; /* where it is, where the row began */
	bool header_done, row_bad;
	const char *bad_column; /* the row's first fault */
	char bad_why[JT_WHY_MAX];
	int fatal; /* exit code: no use to read on */
};

static const char *column_name(const struct table *t, size_t column)
{
	return column == EXTRA ? t->bulk->extra : jt_column_names[column];
}

/* All faults of a row are told, the first is remembered. */
static void fault(struct table *t, const char *column, const char *why)
{
	if (!t->row_bad) {
		t->bad_column = column;
		snprintf(t->bad_why, sizeof(t->bad_why), "%s", why);
	}
	t->row_bad = true;
	if (t->bulk->faults++ < FAULTS_MAX)
		jt_fail(JT_EXIT_USAGE, "%s:%llu: %s %s", t->bulk->path,
			(unsigned long long)t->row_line, column, why);
}

/* The column of that name, PLACES: none. */
static size_t find_column(const struct table *t, const char *text, size_t bytes)
{
	size_t n = t->bulk->extra ? PLACES : JT_COLUMNS_N;

	for (size_t i = 0; i < n; i++)
		if (strlen(column_name(t, i)) == bytes &&
		    memcmp(column_name(t, i), text, bytes) == 0)
			return i;
	return PLACES;
}

static void header_cell(struct table *t, const char *text, size_t bytes)
{
	size_t column;

	if (t->n_map == 0 && bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3, bytes -= 3;
	column = find_column(t, text, bytes);
	if (column == PLACES || t->n_map == COLUMNS_MAX) {
		t->fatal = jt_fail(
			JT_EXIT_USAGE,
			"%s:%llu: column %zu is called `%.*s`; known "
			"are %s%sname, expires, env, owner, rate, burst, "
			"quota, plan, scopes",
			t->bulk->path, (unsigned long long)t->row_line,
			t->n_map + 1, bytes <= 20 ? (int)bytes : 0, text,
			t->bulk->extra ? t->bulk->extra : "",
			t->bulk->extra ? ", " : "");
		return;
	}
	if (t->seen[column])
		t->fatal = jt_fail(
			JT_EXIT_USAGE, "%s:%llu: column %s stands there twice",
			t->bulk->path, (unsigned long long)t->row_line,
			column_name(t, column));
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
	name = column_name(t, t->map[t->n_cells - 1]);
	cell = t->cells[t->map[t->n_cells - 1]];
	if (bytes >= CELL_MAX)
		fault(t, name, "is far too long");
	else if (memchr(text, '\0', bytes))
		fault(t, name, "holds a zero byte");
	else
		memcpy(cell, text, bytes), cell[bytes] = '\0';
}

/* A row whose cells are all there: what its reader says of it. */
static int take_row(struct table *t, const char **columnp, char *why)
{
	const struct jt_bulk *b = t->bulk;
	const char *text[JT_COLUMNS_N];
	enum jt_column column;
	struct jt_draft d;

	for (size_t i = 0; i < JT_COLUMNS_N; i++)
		text[i] = t->cells[i][0] ? t->cells[i] : b->defaults[i];
	if (!jt_draft_parse(text, b->rules, b->now_s, &d, &column, why)) {
		*columnp = jt_column_names[column];
		return JT_BULK_BAD;
	}
	return b->row(b->ctx, t->row_line, &d, t->cells[EXTRA], columnp, why);
}

static void end_row(struct table *t)
{
	struct jt_bulk *b = t->bulk;
	char why[JT_WHY_MAX] = "";
	const char *column = NULL;
	int e = 0;

	b->rows++;
	if (!t->row_bad)
		e = take_row(t, &column, why);
	if (e == JT_BULK_BAD) {
		fault(t, column, why);
		e = 0;
	}
	if (t->row_bad && b->bad)
		e = b->bad(b->ctx, t->row_line, t->bad_column, t->bad_why);
	t->fatal = e;
}

static void end_header(struct table *t)
{
	size_t missing = PLACES;

	if (!t->seen[JT_COL_name])
		missing = JT_COL_name;
	else if (t->bulk->extra && !t->seen[EXTRA])
		missing = EXTRA;
	t->header_done = true;
	if (missing != PLACES)
		t->fatal = jt_fail(
			JT_EXIT_USAGE, "%s:%llu: the header has no column `%s`",
			t->bulk->path, (unsigned long long)t->row_line,
			column_name(t, missing));
}

/* libcsv: a row is complete. */
static void on_row(int end, void *data)
{
	struct table *t = data;

	if (t->fatal)
		return;
	if (t->header_done)
		end_row(t);
	else
		end_header(t);
	t->row_bad = false;
	t->n_cells = 0;
	t->row_bytes = 0;
	for (size_t i = 0; i < PLACES; i++)
		t->cells[i][0] = '\0';
}

static void syntax(struct table *t)
{
	if (!t->fatal)
		t->fatal =
			jt_fail(JT_EXIT_USAGE,
				"%s:%llu: not CSV: a quote stands where none "
				"may; double quotes inside quoted cells",
				t->bulk->path, (unsigned long long)t->row_line);
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
				   t->bulk->path,
				   (unsigned long long)t->row_line, ROW_MAX);
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
		t->fatal = jt_fail(JT_EXIT_FILE, "%s: %s", t->bulk->path,
				   strerror(errno));
	if (!t->fatal && csv_fini(&t->parser, on_cell, on_row, t) != 0)
		syntax(t);
	free(chunk);
	return t->fatal;
}

int jt_bulk_rows(struct jt_bulk *b)
{
	struct table *t = calloc(1, sizeof(*t));
	FILE *in = strcmp(b->path, "-") == 0 ? stdin : fopen(b->path, "re");
	int e;

	if (!in) {
		free(t);
		return jt_fail(JT_EXIT_FILE,
			       "%s: %s; name a table that can be read", b->path,
			       strerror(errno));
	}
	if (!t || csv_init(&t->parser, CSV_STRICT | CSV_STRICT_FINI) != 0) {
		free(t);
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	}
	t->bulk = b;
	t->line = 1;
	b->rows = b->faults = 0;
	e = read_all(t, in);
	csv_free(&t->parser);
	if (in != stdin)
		fclose(in);
	free(t);
	return e;
}

int jt_bulk_refusal(const struct jt_bulk *b, int e, const char **columnp,
		    char why[JT_WHY_MAX])
{
	switch (e) {
	case JT_ISSUE_E_LIMITS:
		*columnp = "rate";
		strcpy(why, "is one different limit too many (65535)");
		return JT_BULK_BAD;
	case JT_ISSUE_E_SETS:
		*columnp = "scopes";
		strcpy(why, "is one different list too many (8191)");
		return JT_BULK_BAD;
	case JT_ISSUE_E_MANY:
		return jt_fail(JT_EXIT_USAGE,
			       "%s has more than %u rows; split it", b->path,
			       JT_ISSUE_MAX);
	default:
		return jt_fail(JT_EXIT_FILE, "%s: not enough memory", b->path);
	}
}

/* ---- create --from ---- */

struct creation {
	struct jt_bulk bulk;
	struct jt_issue *issue;
};

static int create_row(void *ctx, uint64_t line, const struct jt_draft *d,
		      const char *cell, const char **columnp, char *why)
{
	struct creation *c = ctx;
	int e = jt_issue_add(c->issue, d);

	return e ? jt_bulk_refusal(&c->bulk, e, columnp, why) : 0;
}

int jt_bulk_read(const char *path, const char *const defaults[JT_COLUMNS_N],
		 uint64_t now_s, struct jt_issue *s)
{
	struct creation c = {
		.bulk = {.path = path,
			 .defaults = defaults,
			 .rules = &s->rules,
			 .now_s = now_s,
			 .row = create_row,
			 .ctx = &c},
		.issue = s,
	};
	int e = jt_bulk_rows(&c.bulk);

	if (e)
		return e;
	if (c.bulk.faults)
		return jt_fail(JT_EXIT_USAGE,
			       "%s: %llu faults, nothing was created; correct "
			       "them and run it again",
			       path, (unsigned long long)c.bulk.faults);
	if (s->n == 0)
		return jt_fail(JT_EXIT_USAGE,
			       "%s has no rows; it needs a header with `name` "
			       "and a row for each token",
			       path);
	return 0;
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
