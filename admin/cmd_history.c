/*
 * jeton history: every record of one token, with what each changed.
 *
 * The reason of an operation is its last record, so the token's records of one
 * operation are kept until the next begins.
 */
#include "admin/change.h"
#include "admin/cmd.h"
#include "admin/describe.h"
#include "admin/expiry.h"
#include "admin/lookup.h"
#include "admin/walk.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define INDENT 4
#define OP_TEXT 33
#define ENTRIES_MIN 4u

struct entry {
	struct jt_record r, before;
	bool first; /* there was none before */
};

struct history {
	const char *id;
	enum jt_style style;
	size_t width;
	struct entry *entries; /* of the operation at hand */
	size_t n_entries, entries_max;
	struct jt_record last; /* state of the token; type 0: none yet */
	uint8_t op[16];
	char reason[JT_REASON_MAX + 1];
	bool any;
};

static bool concerns(const struct history *h, const struct jt_record *r)
{
	if (r->type == JT_REC_NOTICE)
		return memcmp(r->notice.id, h->id, JT_ID_BYTES) == 0;
	return (jt_record_is_token(r->type) || r->type == JT_REC_COPY) &&
	       memcmp(r->token.id, h->id, JT_ID_BYTES) == 0;
}

/* ---- one record ---- */

/* Where the fields of a record go. */
struct sink {
	const struct history *h;
	json_t *list;
	size_t n;
};

static void put_table_field(const struct history *h, const char *text)
{
	size_t used = INDENT;

	printf("%*s", INDENT, "");
	jt_put_wrapped(stdout, text, INDENT + 2, h->width, &used);
	putchar('\n');
}

static void put_field(void *ctx, const char *field, const char *from,
		      const char *to)
{
	struct sink *s = ctx;
	char *text = NULL;
	json_t *o;

	if (s->h->style == JT_STYLE_JSON) {
		o = json_object();
		json_object_set_new(o, "field", json_string(field));
		json_object_set_new(o, "from",
				    from ? jt_json_text(from, SIZE_MAX)
					 : json_null());
		json_object_set_new(o, "to", jt_json_text(to, SIZE_MAX));
		json_array_append_new(s->list, o);
		return;
	}
	if (asprintf(&text, "%s: %s%s%s", field, from ? from : "",
		     from ? " -> " : "", to) < 0)
		return;
	if (s->h->style == JT_STYLE_TABLE) {
		put_table_field(s->h, text);
	} else {
		fputs(s->n ? "; " : "", stdout);
		jt_put_text(stdout, JT_STYLE_TSV, text, SIZE_MAX);
	}
	s->n++;
	free(text);
}

static void describe(struct sink *s, const struct jt_walk *w,
		     const struct entry *e)
{
	if (jt_record_is_token(e->r.type))
		jt_describe_token(&w->names, e->first ? NULL : &e->before,
				  &e->r, put_field, s);
}

static void put_json(const struct history *h, const struct jt_walk *w,
		     const struct entry *e, const char *time, const char *op,
		     const char *event)
{
	struct sink s = {.h = h, .list = json_array()};
	json_t *o = json_object();

	describe(&s, w, e);
	json_object_set_new(o, "time", json_string(time));
	json_object_set_new(o, "number", json_integer((json_int_t)e->r.number));
	json_object_set_new(o, "verb", json_string(jt_record_verb(e->r.type)));
	json_object_set_new(
		o, "user",
		jt_json_text(jt_describe_user(e->r.actor_uid), SIZE_MAX));
	json_object_set_new(o, "uid", json_integer((json_int_t)e->r.actor_uid));
	json_object_set_new(o, "changes", s.list);
	json_object_set_new(o, "event",
			    *event ? json_string(event) : json_null());
	json_object_set_new(o, "reason",
			    *h->reason ? jt_json_text(h->reason, SIZE_MAX)
				       : json_null());
	json_object_set_new(o, "op", json_string(op));
	jt_put_json(stdout, o);
}

static void put_table(const struct history *h, const struct jt_walk *w,
		      const struct entry *e, const char *time, const char *op,
		      const char *event)
{
	struct sink s = {.h = h};
	char *text = NULL;

	printf("%s  %-7s  by ", time, jt_record_verb(e->r.type));
	jt_put_text(stdout, h->style, jt_describe_user(e->r.actor_uid),
		    SIZE_MAX);
	printf("  operation %.8s\n", op);
	describe(&s, w, e);
	if (*event)
		put_table_field(h, event);
	if (*h->reason && asprintf(&text, "reason: %s", h->reason) >= 0)
		put_table_field(h, text);
	free(text);
}

static void put_line(const struct history *h, const struct jt_walk *w,
		     const struct entry *e, const char *time, const char *op,
		     const char *event)
{
	struct sink s = {.h = h};

	printf("%s\t%s\t", time, jt_record_verb(e->r.type));
	jt_put_text(stdout, h->style, jt_describe_user(e->r.actor_uid),
		    SIZE_MAX);
	putchar('\t');
	describe(&s, w, e);
	fputs(event, stdout);
	putchar('\t');
	jt_put_text(stdout, h->style, h->reason, SIZE_MAX);
	printf("\t%s\n", op);
}

static void put(const struct history *h, const struct jt_walk *w,
		const struct entry *e)
{
	char time[JT_TIME_TEXT], op[OP_TEXT], event[JT_DESCRIBE_TEXT];

	jt_time_format(e->r.time_ns / 1000000000u, time);
	sodium_bin2hex(op, sizeof(op), e->r.op, sizeof(e->r.op));
	jt_describe_event(&w->names, &e->r, event);
	if (h->style == JT_STYLE_JSON)
		put_json(h, w, e, time, op, event);
	else if (h->style == JT_STYLE_TABLE)
		put_table(h, w, e, time, op, event);
	else
		put_line(h, w, e, time, op, event);
}

/* ---- the walk ---- */

static void end_operation(struct history *h, const struct jt_walk *w)
{
	for (size_t i = 0; i < h->n_entries; i++)
		put(h, w, &h->entries[i]);
	h->n_entries = 0;
	h->reason[0] = '\0';
}

static int keep(struct history *h, const struct jt_record *r)
{
	struct entry *e;

	if (h->n_entries == h->entries_max) {
		size_t max = h->entries_max ? 2 * h->entries_max : ENTRIES_MIN;

		e = reallocarray(h->entries, max, sizeof(*e));
		if (!e)
			return -ENOMEM;
		h->entries = e;
		h->entries_max = max;
	}
	e = &h->entries[h->n_entries++];
	e->r = *r;
	e->before = h->last;
	e->first = h->last.type == 0;
	if (jt_record_is_token(r->type))
		h->last = *r;
	h->any = true;
	return 0;
}

static int visit(void *ctx, const struct jt_walk *w, const struct jt_record *r)
{
	struct history *h = ctx;

	if (!r || memcmp(r->op, h->op, sizeof(h->op)) != 0)
		end_operation(h, w);
	if (!r) {
		if (w->missing[0])
			jt_note("%s; what is shown may not be all", w->missing);
		return 0;
	}
	memcpy(h->op, r->op, sizeof(h->op));
	if (r->type == JT_REC_REASON && h->n_entries)
		memcpy(h->reason, r->reason, JT_REASON_MAX);
	return concerns(h, r) ? keep(h, r) : 0;
}

int jt_cmd_history(const struct jt_cmd *cmd)
{
	static struct history h;
	struct jt_fault fault = {.line = "not enough memory"};
	int e = jt_id_check(cmd->operands[0]);

	if (e)
		return e;
	h.id = cmd->operands[0];
	h.style = jt_style_of(cmd->json);
	h.width = jt_terminal_width();
	e = jt_walk(&jt_io_os, cmd->paths.data, visit, &h, &fault);
	free(h.entries);
	if (e)
		return jt_journal_refusal(e, &fault);
	return h.any ? 0 : jt_no_such_id(h.id);
}
