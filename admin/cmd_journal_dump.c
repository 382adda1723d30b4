/* jeton journal dump: every committed record as JSON, verified on the way. */
#include "admin/change.h"
#include "admin/cmd.h"
#include "admin/expiry.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 1024u

static json_t *hex(const uint8_t *bytes, size_t n)
{
	char text[2 * JT_DIGEST_BYTES + 1];

	return json_string(sodium_bin2hex(text, sizeof(text), bytes, n));
}

static json_t *integer(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static void put_token(json_t *o, const struct jt_record *r)
{
	const struct jt_record_token *t = &r->token;
	char expires[JT_TIME_TEXT];

	jt_time_format(t->expires_s, expires);
	json_object_set_new(o, "env", jt_json_text(r->env, sizeof(r->env)));
	json_object_set_new(o, "id", jt_json_text(t->id, JT_ID_BYTES));
	json_object_set_new(o, "digest", hex(t->digest, JT_DIGEST_BYTES));
	json_object_set_new(o, "name", jt_json_text(t->name, JT_NAME_MAX));
	json_object_set_new(o, "owner", jt_json_text(t->owner, JT_OWNER_MAX));
	json_object_set_new(o, "expires", json_string(expires));
	json_object_set_new(o, "plan", integer(t->plan));
	json_object_set_new(o, "scope_set", integer(t->scope_set));
	json_object_set_new(o, "flags", integer(t->flags));
}

static void put_plan(json_t *o, const struct jt_record_plan *p)
{
	json_object_set_new(o, "plan", integer(p->number));
	json_object_set_new(o, "rate", integer(p->rate));
	json_object_set_new(o, "period_ns", integer(p->period_ns));
	json_object_set_new(o, "burst", integer(p->burst));
}

static void put(const struct jt_record *r)
{
	static const char *const types[] = {NULL, "create", "revoke", "plan"};
	char time[JT_TIME_TEXT];
	json_t *o = json_object();

	jt_time_format(r->time_ns / 1000000000u, time);
	json_object_set_new(o, "number", integer(r->number));
	json_object_set_new(o, "type", json_string(types[r->type]));
	json_object_set_new(o, "time", json_string(time));
	json_object_set_new(o, "time_ns", integer(r->time_ns));
	json_object_set_new(o, "op", hex(r->op, sizeof(r->op)));
	json_object_set_new(o, "actor_uid", integer(r->actor_uid));
	json_object_set_new(o, "part", integer(r->part));
	json_object_set_new(o, "parts", integer(r->parts));
	if (r->type == JT_REC_PLAN)
		put_plan(o, &r->plan);
	else
		put_token(o, r);
	json_object_set_new(o, "tag", hex(r->tag, sizeof(r->tag)));
	jt_put_json(stdout, o);
}

int jt_cmd_journal_dump(const struct jt_cmd *cmd)
{
	struct jt_record *records = calloc(BATCH, sizeof(*records));
	struct jt_fault fault = {0};
	struct jt_reader reader;
	struct jt_journal j;
	size_t n = 0;
	int e;

	if (!records)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	e = jt_journal_open(&j, &jt_io_os, cmd->paths.data, &fault);
	if (e)
		goto out;
	jt_reader_init(&reader, &j);
	do {
		e = jt_reader_next(&reader, records, BATCH, &n, &fault);
		for (size_t i = 0; e == 0 && i < n; i++)
			put(&records[i]);
	} while (e == 0 && n && !ferror(stdout));
	jt_journal_close(&j);
out:
	free(records);
	return e ? jt_journal_refusal(e, &fault) : 0;
}
