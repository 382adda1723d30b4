/*
 * roster: see roster.h.
 *
 * A row is made in a buffer and written at once, and the day of the row before
 * is kept, since of a million tokens many expire on one day.
 */
#include "admin/roster.h"
#include "admin/change.h"
#include "admin/expiry.h"
#include "admin/in_force.h"
#include "admin/lookup.h"
#include "admin/roster_json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S 86400u
#define DAY_TEXT 10
#define MASKED_TEXT 28
#define STATUS_TEXT 9 /* the longest, "Suspended" */
#define GAP 2
/* what stands beside the name, gaps included */
#define BESIDE (GAP + MASKED_TEXT + GAP + DAY_TEXT + GAP)
#define NAME_MIN 4 /* columns, however narrow the terminal is */
#define NAME_HEAD "NAME"
#define INDENT 4
#define ITEM_MAX 512
#define OUT_BYTES (1u << 18)

struct sheet {
	const struct jt_roster *r;
	enum jt_style style;
	enum jt_roster_form form;
	size_t width; /* of the terminal */
	size_t name_width;
	uint64_t day; /* whose text stands below */
	char day_text[JT_TIME_TEXT];
};

/* ---- opening ---- */

/*
 * What only the sidecar knows, before the journal is read: what it commits in
 * between is then found in both. COUNTS: what it has counted is to be in the
 * file; without one it is.
 */
static void ask_sidecar(const struct jt_cmd *cmd, const struct jt_journal *j,
			bool counts, struct jt_in_force *f)
{
	struct jt_control c;

	(void)jt_control_connect(&c, cmd->paths.data, JT_CONTROL_WAIT_MS);
	if (counts && c.fd >= 0)
		(void)jt_control_save(&c); /* else a few seconds old */
	jt_in_force_read(f, j, &c);
	jt_control_close(&c);
}

/* Revoked is revoked, in whatever file that stands by now. */
static void revoke_pending(struct jt_roster *r, const struct jt_in_force *f)
{
	for (size_t i = 0; f->n && i < r->catalog.n_cards; i++)
		if (jt_in_force_denies(f, r->catalog.cards[i].id))
			r->catalog.cards[i].type = JT_REC_REVOKE;
}

static void load_usage(struct jt_roster *r, const struct jt_journal *j)
{
	int e = jt_usage_load(&r->usage, j->io, j->dir_fd, j->id);

	r->counted = e == 0;
	if (*jt_usage_why(e))
		jt_note("the file of use counts is of no use, %s; uses are not "
			"shown",
			jt_usage_why(e));
}

int jt_roster_open(struct jt_roster *r, const struct jt_cmd *cmd, bool counts)
{
	struct jt_fault fault = {.line = "not enough memory"};
	struct jt_in_force in_force;
	struct jt_journal j;
	int e;

	memset(r, 0, sizeof(*r));
	e = jt_journal_open(&j, &jt_io_os, cmd->paths.data, &fault);
	if (e)
		return jt_journal_refusal(e, &fault);
	ask_sidecar(cmd, &j, counts, &in_force);
	r->now_s = in_force.now_s;
	/* what was recorded since is in it, compacted or not */
	jt_journal_close(&j);
	e = jt_journal_open(&j, &jt_io_os, cmd->paths.data, &fault);
	if (e) {
		jt_in_force_free(&in_force);
		return jt_journal_refusal(e, &fault);
	}
	/* all of it is read, in order: let it come while we work */
	posix_fadvise(j.fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	e = jt_catalog_init(&r->catalog);
	if (e == 0)
		e = jt_catalog_load(&r->catalog, &j, &fault);
	if (e == 0 && counts)
		load_usage(r, &j);
	if (e == 0)
		revoke_pending(r, &in_force);
	jt_in_force_free(&in_force);
	jt_journal_close(&j);
	if (e == 0) {
		r->rows = calloc(r->catalog.n_cards + 1, sizeof(*r->rows));
		e = r->rows ? 0 : -ENOMEM;
	}
	if (e == 0)
		return 0;
	jt_roster_close(r);
	return jt_journal_refusal(e, &fault);
}

void jt_roster_close(struct jt_roster *r)
{
	free(r->rows);
	jt_usage_free(&r->usage);
	jt_catalog_deinit(&r->catalog);
	memset(r, 0, sizeof(*r));
}

static const struct jt_card *card_of(const struct jt_roster *r, size_t row)
{
	return &r->catalog.cards[r->rows[row]];
}

bool jt_roster_usage(const struct jt_roster *r, const struct jt_card *card,
		     struct jt_usage *up)
{
	uint8_t digest[JT_DIGEST_BYTES] = {0};

	memset(up, 0, sizeof(*up));
	if (!r->counted)
		return false;
	memcpy(digest, card->key, sizeof(card->key));
	if (jt_usage_find(&r->usage, digest, up))
		return true;
	/* rotated since the counts were saved */
	memcpy(digest, card->old_key, sizeof(card->old_key));
	(void)jt_usage_find(&r->usage, digest, up);
	return true;
}

/* ---- choice and order ---- */

void jt_roster_pick(struct jt_roster *r, const struct jt_choice *choice,
		    jt_roster_fn *also, void *ctx)
{
	struct jt_choice c = *choice;

	/* a clock that is behind makes nothing expire later */
	c.now_s = r->now_s;
	if (c.expires_until_s && c.expires_from_s <= c.now_s)
		c.expires_from_s = c.now_s + 1;
	r->n_rows = 0;
	for (size_t i = 0; i < r->catalog.n_cards; i++) {
		const struct jt_card *card = &r->catalog.cards[i];

		if (jt_choice_fits(&c, &r->catalog, card) &&
		    (!also || also(r, card, ctx)))
			r->rows[r->n_rows++] = (uint32_t)i;
	}
}

int jt_roster_key(const char *text, enum jt_roster_key *keyp)
{
	static const struct {
		const char *name;
		enum jt_roster_key key;
	} keys[] = {
		{"created", JT_BY_CREATED}, {"name", JT_BY_NAME},
		{"expires", JT_BY_EXPIRES}, {"used", JT_BY_USED},
		{"uses", JT_BY_USES},
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(text, keys[i].name) != 0)
			continue;
		*keyp = keys[i].key;
		return 0;
	}
	return jt_fail(JT_EXIT_USAGE,
		       "--sort is name, expires, created, used or uses");
}

struct ranked {
	uint64_t rank;
	uint32_t card;
};

static int compare_ranks(const void *left, const void *right)
{
	const struct ranked *a = left, *b = right;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return a->card < b->card ? -1 : a->card > b->card;
}

static int compare_names(const void *left, const void *right, void *ctx)
{
	const struct jt_card *cards = ctx;
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
	int order = memcmp(cards[a].name, cards[b].name, JT_NAME_MAX);

	if (order)
		return order;
	return a < b ? -1 : a > b;
}

static uint64_t rank(const struct jt_roster *r, const struct jt_card *card,
		     enum jt_roster_key key)
{
	struct jt_usage u;

	if (key == JT_BY_EXPIRES)
		return card->expires_s;
	jt_roster_usage(r, card, &u);
	return ~(key == JT_BY_USED ? u.last_use_s : u.uses);
}

int jt_roster_sort(struct jt_roster *r, enum jt_roster_key key)
{
	struct ranked *ranked;

	if (key == JT_BY_CREATED)
		return 0;
	if (key == JT_BY_NAME) {
		qsort_r(r->rows, r->n_rows, sizeof(*r->rows), compare_names,
			r->catalog.cards);
		return 0;
	}
	ranked = calloc(r->n_rows + 1, sizeof(*ranked));
	if (!ranked)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	for (size_t i = 0; i < r->n_rows; i++)
		ranked[i] = (struct ranked){rank(r, card_of(r, i), key),
					    r->rows[i]};
	qsort(ranked, r->n_rows, sizeof(*ranked), compare_ranks);
	for (size_t i = 0; i < r->n_rows; i++)
		r->rows[i] = ranked[i].card;
	free(ranked);
	return 0;
}

/* ---- text ---- */

/* The UTC day in which that second lies. */
static const char *day_of(struct sheet *s, uint64_t time_s)
{
	if (!s->day_text[0] || s->day != time_s / DAY_S) {
		s->day = time_s / DAY_S;
		jt_time_format(time_s, s->day_text);
		s->day_text[DAY_TEXT] = '\0';
	}
	return s->day_text;
}

/* The last day on which the token works. */
static const char *last_day(struct sheet *s, const struct jt_card *card)
{
	return day_of(s, card->expires_s ? card->expires_s - 1 : 0);
}

static const char *used_day(struct sheet *s, const struct jt_card *card)
{
	struct jt_usage u;

	if (!jt_roster_usage(s->r, card, &u))
		return "unknown";
	return u.last_use_s ? day_of(s, u.last_use_s) : "never";
}

static size_t add(char *line, size_t at, const char *text, size_t bytes)
{
	memcpy(line + at, text, bytes);
	return at + bytes;
}

/* "  " or a tab, then the text. */
static size_t add_column(const struct sheet *s, char *line, size_t at,
			 const char *text)
{
	at = s->style == JT_STYLE_TABLE ? add(line, at, "  ", GAP)
					: add(line, at, "\t", 1);
	return add(line, at, text, strlen(text));
}

/* What is the same in a row of every form. */
static void put_row(struct sheet *s, const struct jt_card *card)
{
	char line[JT_CELL_BYTES(JT_NAME_MAX, JT_NAME_MAX * 4) + 128];
	char masked[JT_MASK_TEXT], day[JT_TIME_TEXT];
	size_t n = 0;

	if (s->style == JT_STYLE_TABLE)
		n = jt_text_cell(card->name, JT_NAME_MAX, s->name_width, line);
	else
		jt_put_text(stdout, s->style, card->name, JT_NAME_MAX);
	jt_mask(card->id, masked);
	n = add_column(s, line, n, masked);
	if (s->form == JT_ROWS_IDLE) {
		n = add_column(s, line, n, day_of(s, card->created_s));
		n = add_column(s, line, n, used_day(s, card));
	} else {
		strcpy(day, last_day(s, card));
		n = add_column(s, line, n, day);
		n = add_column(s, line, n, jt_card_status(card, s->r->now_s));
	}
	fwrite(line, 1, n, stdout);
}

static void limits_of(const struct jt_catalog *c, const struct jt_card *card,
		      char out[JT_LIMIT_TEXT])
{
	struct jt_limit limit = jt_limits_merge(&c->plans[card->own].limit,
						&c->plans[card->plan].limit);

	jt_limits_format(&limit, out);
}

static void put_marks(const struct jt_card *card, uint64_t now_s)
{
	const char *comma = "";

	if (card->flags & JT_TOKEN_SUSPENDED) {
		fputs("suspended", stdout);
		comma = ",";
	}
	if (card->old_until_s > now_s) {
		printf("%srotating", comma);
		comma = ",";
	}
	if (jt_card_recoverable(card))
		printf("%scopy", comma);
}

static void put_time(uint64_t time_s)
{
	char text[JT_TIME_TEXT] = "";

	if (time_s)
		jt_time_format(time_s, text);
	printf("\t%s", text);
}

/* The other columns of a long row for programs. */
static void put_columns(const struct sheet *s, const struct jt_card *card)
{
	static char names[JT_SCOPES_N * (JT_SCOPE_MAX + 1)];
	const struct jt_catalog *c = &s->r->catalog;
	char limits[JT_LIMIT_TEXT];
	struct jt_usage u;
	bool known = jt_roster_usage(s->r, card, &u);

	limits_of(c, card, limits);
	jt_catalog_scope_names(c, card->scope_set, names, sizeof(names));
	putchar('\t');
	jt_put_text(stdout, s->style, card->owner, JT_OWNER_MAX);
	printf("\t%.*s\t", JT_ENV_MAX, card->env);
	jt_put_text(stdout, s->style, c->plans[card->plan].name, JT_PLAN_MAX);
	printf("\t%s\t", limits);
	jt_put_text(stdout, s->style, names, sizeof(names));
	if (known)
		printf("\t%" PRIu64 "\t%" PRIu64, u.uses, u.refusals);
	else
		fputs("\t\t", stdout);
	put_time(u.last_use_s);
	put_time(card->old_until_s);
	putchar('\t');
	put_marks(card, s->r->now_s);
}

/* One item of the second line, on another line when there is no room. */
static void put_item(const struct sheet *s, size_t *usedp, const char *text,
		     size_t bytes)
{
	char cell[JT_CELL_BYTES(ITEM_MAX, 0) + 4 * ITEM_MAX];
	size_t width, room = s->width > INDENT + NAME_MIN ? s->width - INDENT
							  : NAME_MIN;

	bytes = strnlen(text, bytes < ITEM_MAX ? bytes : ITEM_MAX);
	if (!bytes)
		return;
	width = jt_text_width(text, bytes);
	if (width > room - 1)
		width = room - 1; /* and a comma, perhaps */
	if (*usedp && *usedp + 2 + width < room) {
		fputs(", ", stdout);
		*usedp += 2;
	} else {
		printf("%s\n%*s", *usedp ? "," : "", INDENT, "");
		*usedp = 0;
	}
	fwrite(cell, 1, jt_text_cell(text, bytes, width, cell), stdout);
	*usedp += width;
}

__attribute__((format(printf, 3, 4))) static void
put_words(const struct sheet *s, size_t *usedp, const char *fmt, ...)
{
	char text[ITEM_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	put_item(s, usedp, text, sizeof(text));
}

static void put_use(const struct sheet *s, size_t *usedp,
		    const struct jt_card *card)
{
	char when[JT_TIME_TEXT];
	struct jt_usage u;

	if (!jt_roster_usage(s->r, card, &u))
		return;
	if (u.uses)
		put_words(s, usedp, "%" PRIu64 " uses", u.uses);
	if (u.refusals)
		put_words(s, usedp, "%" PRIu64 " refusals", u.refusals);
	if (!u.last_use_s) {
		put_words(s, usedp, "never used");
		return;
	}
	jt_time_distance(u.last_use_s, s->r->now_s, when);
	put_words(s, usedp, "last used %s", when);
}

/* The rest of a long row for people. */
static void put_rest(const struct sheet *s, const struct jt_card *card)
{
	static char names[JT_SCOPES_N * (JT_SCOPE_MAX + 1)];
	const struct jt_catalog *c = &s->r->catalog;
	char limits[JT_LIMIT_TEXT], when[JT_TIME_TEXT], *save = NULL;
	size_t used = 0;

	put_words(s, &used, "env %.*s", JT_ENV_MAX, card->env);
	if (card->owner[0])
		put_words(s, &used, "owner %.*s", JT_OWNER_MAX, card->owner);
	if (card->plan)
		put_words(s, &used, "plan %.*s", JT_PLAN_MAX,
			  c->plans[card->plan].name);
	limits_of(c, card, limits);
	if (strcmp(limits, "none") != 0)
		put_words(s, &used, "%s", limits);
	jt_catalog_scope_names(c, card->scope_set, names, sizeof(names));
	for (char *n = strtok_r(names, " ", &save); n;
	     n = strtok_r(NULL, " ", &save))
		put_words(s, &used, "scope %s", n);
	put_use(s, &used, card);
	if (card->old_until_s > s->r->now_s) {
		jt_time_distance(card->old_until_s, s->r->now_s, when);
		put_words(s, &used, "old value ends %s", when);
	}
	if (card->flags & JT_TOKEN_SUSPENDED)
		put_words(s, &used, "suspended");
	if (jt_card_recoverable(card))
		put_words(s, &used, "copy");
}

static size_t name_width(const struct jt_roster *r, size_t beside, size_t width)
{
	size_t most = width > beside + NAME_MIN ? width - beside : NAME_MIN;
	size_t widest = strlen(NAME_HEAD);

	for (size_t i = 0; i < r->n_rows; i++) {
		size_t n = jt_text_width(card_of(r, i)->name, JT_NAME_MAX);

		if (n > widest)
			widest = n;
	}
	return widest < most ? widest : most;
}

static void put_head(const struct sheet *s)
{
	bool idle = s->form == JT_ROWS_IDLE;

	printf("%-*s  %-*s  %-*s  %s\n", (int)s->name_width, NAME_HEAD,
	       MASKED_TEXT, "VALUE", DAY_TEXT, idle ? "CREATED" : "EXPIRES",
	       idle ? "LAST USED" : "STATUS");
}

static void begin(struct sheet *s)
{
	static char buffer[OUT_BYTES];
	size_t last = s->form == JT_ROWS_IDLE ? DAY_TEXT : STATUS_TEXT;

	/* without a buffer of ours the C library would keep its own size */
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	if (s->style != JT_STYLE_TABLE)
		return;
	s->width = jt_terminal_width();
	s->name_width = name_width(s->r, BESIDE + last, s->width);
	if (s->r->n_rows)
		put_head(s);
}

static void put_json_rows(const struct jt_roster *r)
{
	struct jt_json_row row = {0};

	for (size_t i = 0; i < r->n_rows && !ferror(stdout); i++)
		jt_json_row_put(&row, r, card_of(r, i));
	jt_json_row_free(&row);
}

void jt_roster_put(const struct jt_roster *r, enum jt_style style,
		   enum jt_roster_form form)
{
	struct sheet s = {.r = r, .style = style, .form = form};

	begin(&s);
	if (style == JT_STYLE_JSON) {
		put_json_rows(r);
		return;
	}
	for (size_t i = 0; i < r->n_rows && !ferror(stdout); i++) {
		put_row(&s, card_of(r, i));
		if (form == JT_ROWS_LONG && style == JT_STYLE_TSV)
			put_columns(&s, card_of(r, i));
		else if (form == JT_ROWS_LONG)
			put_rest(&s, card_of(r, i));
		putchar('\n');
	}
}
