/*
 * jeton audit: every operation of a time: who, what, when, why.
 *
 * An operation is a batch of the journal, told when the next one begins: its
 * reason stands at its end. What a compaction kept in front of the oldest file
 * is of operations that are not whole any more, and is left out.
 */
#include "admin/change.h"
#include "admin/cmd.h"
#include "admin/describe.h"
#include "admin/expiry.h"
#include "admin/lookup.h"
#include "admin/walk.h"

#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#define IDS_MAX 100u /* that are told in JSON, of each operation */
#define INDENT 4
#define OP_TEXT 33
#define USER_WIDTH 10
#define WHAT_WIDTH JT_ID_BYTES

struct operation {
	uint8_t op[16];
	uint64_t time_ns, first, last;
	uint32_t uid;
	uint8_t type;  /* of the record that says most; 0: no operation */
	uint64_t n;    /* ids */
	uint64_t fits; /* records that the command asked for */
	char ids[IDS_MAX][JT_ID_BYTES];
	char subject[JT_DESCRIBE_TEXT], event[JT_DESCRIBE_TEXT];
	char reason[JT_REASON_MAX + 1];
};

struct audit {
	const char *owner, *id;
	uint64_t since_s, until_s;
	enum jt_style style;
	size_t width;
	struct operation at;
	uint64_t begins_s; /* of the first record that is no kept one */
	bool any;
};

/* ---- gathering ---- */

/* Of the records of one operation, which one names it? */
static int weight(uint8_t type)
{
	switch ((enum jt_record_type)type) {
	case JT_REC_REASON:
		return 1;
	case JT_REC_SCOPES:
		return 2;
	case JT_REC_SCOPE:
		return 3;
	case JT_REC_PLAN:
		return 4;
	case JT_REC_RULES:
		return 5;
	case JT_REC_NOTICE:
	case JT_REC_COPY:
		return 6;
	default:
		return 7;
	}
}

/* The id that a record is about; NULL: none. */
static const char *id_of(const struct jt_record *r)
{
	if (r->type == JT_REC_NOTICE)
		return r->notice.id;
	return weight(r->type) >= weight(JT_REC_COPY) ? r->token.id : NULL;
}

static bool is_owner(const struct jt_record *r, const char *owner)
{
	return r->type != JT_REC_NOTICE && strlen(owner) <= JT_OWNER_MAX &&
	       strncmp(r->token.owner, owner, JT_OWNER_MAX) == 0;
}

static bool fits(const struct audit *a, const struct jt_record *r)
{
	const char *id = id_of(r);

	if (a->id && !(id && memcmp(id, a->id, JT_ID_BYTES) == 0))
		return false;
	return !a->owner || (id && is_owner(r, a->owner));
}

static void add(struct operation *o, const struct jt_walk *w,
		const struct jt_record *r)
{
	const char *id = id_of(r);

	o->fits++;
	if (id && o->n++ < IDS_MAX)
		memcpy(o->ids[o->n - 1], id, JT_ID_BYTES);
	if (o->type && weight(r->type) <= weight(o->type))
		return;
	o->type = r->type;
	jt_describe_subject(r, o->subject);
	jt_describe_event(&w->names, r, o->event);
}

static void begin(struct operation *o, const struct jt_record *r)
{
	memcpy(o->op, r->op, sizeof(o->op));
	o->time_ns = r->time_ns;
	o->uid = r->actor_uid;
	o->first = r->number;
	o->type = 0;
	o->n = o->fits = 0;
	o->reason[0] = '\0';
}

/* ---- telling ---- */

static void put_json(const struct operation *o, const char *time,
		     const char *op)
{
	json_t *j = json_object(), *ids = json_array();

	for (uint64_t i = 0; i < o->n && i < IDS_MAX; i++)
		json_array_append_new(ids,
				      jt_json_text(o->ids[i], JT_ID_BYTES));
	json_object_set_new(j, "time", json_string(time));
	json_object_set_new(j, "user",
			    jt_json_text(jt_describe_user(o->uid), SIZE_MAX));
	json_object_set_new(j, "uid", json_integer((json_int_t)o->uid));
	json_object_set_new(j, "verb", json_string(jt_record_verb(o->type)));
	json_object_set_new(j, "tokens", json_integer((json_int_t)o->n));
	json_object_set_new(j, "ids", ids);
	json_object_set_new(j, "subject", jt_json_text(o->subject, SIZE_MAX));
	json_object_set_new(j, "event",
			    *o->event ? jt_json_text(o->event, SIZE_MAX)
				      : json_null());
	json_object_set_new(j, "reason",
			    *o->reason ? jt_json_text(o->reason, SIZE_MAX)
				       : json_null());
	json_object_set_new(j, "op", json_string(op));
	json_object_set_new(j, "first", json_integer((json_int_t)o->first));
	json_object_set_new(j, "last", json_integer((json_int_t)o->last));
	jt_put_json(stdout, j);
}

static void put_line(const struct operation *o, const char *time,
		     const char *op)
{
	const char *texts[] = {jt_describe_user(o->uid),
			       jt_record_verb(o->type)};

	printf("%s", time);
	for (size_t i = 0; i < 2; i++) {
		putchar('\t');
		jt_put_text(stdout, JT_STYLE_TSV, texts[i], SIZE_MAX);
	}
	printf("\t%" PRIu64 "\t", o->n);
	jt_put_text(stdout, JT_STYLE_TSV, o->subject, sizeof(o->subject));
	putchar('\t');
	jt_put_text(stdout, JT_STYLE_TSV, o->event, sizeof(o->event));
	putchar('\t');
	jt_put_text(stdout, JT_STYLE_TSV, o->reason, sizeof(o->reason));
	printf("\t%s\n", op);
}

static void put_more(const struct audit *a, const char *text)
{
	size_t used = INDENT;

	if (!*text)
		return;
	printf("%*s", INDENT, "");
	jt_put_wrapped(stdout, text, INDENT, a->width, &used);
	putchar('\n');
}

static void put_cell(const char *text, size_t width)
{
	char cell[JT_CELL_BYTES(JT_DESCRIBE_TEXT, WHAT_WIDTH)];

	fwrite(cell, 1, jt_text_cell(text, JT_DESCRIBE_TEXT, width, cell),
	       stdout);
	fputs("  ", stdout);
}

static void put_row(const struct audit *a, const struct operation *o,
		    const char *time, const char *op)
{
	char what[JT_DESCRIBE_TEXT];

	if (!a->any)
		printf("%-20s  %-*s  %-7s  %-*s  OPERATION\n", "TIME",
		       USER_WIDTH, "USER", "VERB", WHAT_WIDTH, "WHAT");
	strcpy(what, o->subject);
	if (o->n > 1)
		snprintf(what, sizeof(what), "%" PRIu64 " tokens", o->n);
	printf("%s  ", time);
	put_cell(jt_describe_user(o->uid), USER_WIDTH);
	printf("%-7s  ", jt_record_verb(o->type));
	put_cell(what, WHAT_WIDTH);
	printf("%.8s\n", op);
	put_more(a, o->event);
	put_more(a, o->reason);
}

static void end_operation(struct audit *a)
{
	const struct operation *o = &a->at;
	char time[JT_TIME_TEXT], op[OP_TEXT];
	uint64_t time_s = o->time_ns / 1000000000u;

	/* what the first of many says is not what the operation was */
	if (o->n > 1)
		a->at.event[0] = '\0';
	if (!o->fits || time_s < a->since_s || time_s >= a->until_s)
		return;
	jt_time_format(time_s, time);
	sodium_bin2hex(op, sizeof(op), o->op, sizeof(o->op));
	if (a->style == JT_STYLE_JSON)
		put_json(o, time, op);
	else if (a->style == JT_STYLE_TSV)
		put_line(o, time, op);
	else
		put_row(a, o, time, op);
	a->any = true;
}

static int visit(void *ctx, const struct jt_walk *w, const struct jt_record *r)
{
	struct audit *a = ctx;
	struct operation *o = &a->at;

	if (r && w->kept)
		return 0;
	if (!r || memcmp(r->op, o->op, sizeof(o->op)) != 0) {
		end_operation(a);
		o->fits = 0;
	}
	if (!r) {
		if (w->missing[0] && a->since_s < a->begins_s)
			jt_note("%s; earlier operations are not shown",
				w->missing);
		return 0;
	}
	if (!a->begins_s)
		a->begins_s = r->time_ns / 1000000000u;
	if (r->part == 1)
		begin(o, r);
	o->last = r->number;
	if (r->type == JT_REC_REASON)
		memcpy(o->reason, r->reason, JT_REASON_MAX);
	if (fits(a, r))
		add(o, w, r);
	return 0;
}

static int read_times(const struct jt_cmd *cmd, struct audit *a)
{
	uint64_t now_s = jt_io_os.wall_ns() / 1000000000u;
	int e = 0;

	a->until_s = UINT64_MAX;
	if (cmd->args.since)
		e = jt_moment_parse(cmd->args.since, now_s, false, &a->since_s);
	if (e)
		return jt_fail(JT_EXIT_USAGE, "--since %s", jt_moment_why(e));
	if (cmd->args.until)
		e = jt_moment_parse(cmd->args.until, now_s, true, &a->until_s);
	if (e)
		return jt_fail(JT_EXIT_USAGE, "--until %s", jt_moment_why(e));
	return 0;
}

int jt_cmd_audit(const struct jt_cmd *cmd)
{
	static struct audit a;
	struct jt_fault fault = {.line = "not enough memory"};
	int e = read_times(cmd, &a);

	if (e == 0 && cmd->args.id)
		e = jt_id_check(cmd->args.id);
	if (e)
		return e;
	a.owner = cmd->args.owner;
	a.id = cmd->args.id;
	a.style = jt_style_of(cmd->json);
	a.width = jt_terminal_width();
	e = jt_walk(&jt_io_os, cmd->paths.data, visit, &a, &fault);
	if (e)
		return jt_journal_refusal(e, &fault);
	if (!a.any && a.style == JT_STYLE_TABLE)
		jt_note("nothing was done in that time");
	return 0;
}
