/* jeton show: all that is known of one token. */
#include "admin/change.h"
#include "admin/cmd.h"
#include "admin/expiry.h"
#include "admin/in_force.h"
#include "admin/lookup.h"

#include <string.h>

static void put_time(struct jt_sheet *s, const char *key, const char *label,
		     uint64_t time_s, uint64_t now_s)
{
	char text[JT_TIME_TEXT], distance[JT_TIME_TEXT];
	char human[2 * JT_TIME_TEXT + 4];

	jt_time_format(time_s, text);
	jt_time_distance(time_s, now_s, distance);
	snprintf(human, sizeof(human), "%s (%s)", text, distance);
	jt_sheet_text(s, key, label, text, human);
}

/* A field of a record as a string. */
static const char *field(const char *from, size_t max, char *out)
{
	size_t n = strnlen(from, max);

	memcpy(out, from, n);
	out[n] = '\0';
	return out;
}

static void put_limit(struct jt_sheet *s, const struct jt_found *f)
{
	const struct jt_limit *limit = &f->limit;
	char text[JT_LIMIT_TEXT];

	if (f->plan[0])
		jt_sheet_text(s, "plan", "Plan", f->plan, NULL);
	jt_limits_rate(limit, text);
	jt_sheet_text(s, "rate", "Rate", text, limit->rate ? NULL : "no limit");
	if (limit->rate)
		jt_sheet_number(s, "burst", "Burst", (int64_t)limit->burst,
				NULL);
	jt_limits_quota(limit, text);
	jt_sheet_text(s, "quota", "Quota", text,
		      limit->quota ? NULL : "no limit");
	jt_sheet_text(s, "scopes", "Scopes", f->scopes,
		      f->scopes[0] ? NULL : "none");
}

/* Of the quota in the window that holds now. */
static void put_quota(struct jt_sheet *s, const struct jt_found *f,
		      uint64_t now_s)
{
	struct jt_bounds bounds = jt_limits_bounds(&f->limit);

	if (!bounds.quota)
		return;
	jt_sheet_number(
		s, "quota_used", "Quota used",
		(int64_t)jt_meter_quota_used(f->look.quota, &bounds, now_s),
		NULL);
}

static void put_use(struct jt_sheet *s, const struct jt_found *f,
		    uint64_t now_s)
{
	if (!f->metered)
		return;
	put_quota(s, f, now_s);
	jt_sheet_number(s, "uses", "Uses", (int64_t)f->look.uses, NULL);
	jt_sheet_number(s, "refusals", "Refusals", (int64_t)f->look.refusals,
			NULL);
	if (f->look.last_use_s)
		put_time(s, "last_used", "Last used", f->look.last_use_s,
			 now_s);
}

static void put_rotation(struct jt_sheet *s, const struct jt_card *card,
			 uint64_t now_s)
{
	if (card->old_until_s)
		put_time(s, "old_value_until", "Old value until",
			 card->old_until_s, now_s);
}

static json_t *scopes(const char *names)
{
	json_t *list = json_array();

	while (*names) {
		size_t n = strcspn(names, " ");

		json_array_append_new(list, jt_json_text(names, n));
		names += n + (names[n] == ' ');
	}
	return list;
}

/* A program finds here all that a line of list has, in the same types. */
static void as_listed(json_t *o, const struct jt_found *f)
{
	static const char *const fields[] = {
		"plan", "rate",	    "burst",	 "quota", "old_value_until",
		"uses", "refusals", "last_used",
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		json_t *value = json_object_get(o, fields[i]);

		if (!value ||
		    (json_is_string(value) && json_string_length(value) == 0))
			json_object_set_new(o, fields[i], json_null());
	}
	json_object_set_new(o, "scopes", scopes(f->scopes));
	json_object_set_new(o, "suspended",
			    json_boolean(f->card.flags & JT_TOKEN_SUSPENDED));
}

/* PENDING: revoked, though the journal does not say so yet. */
static void put(const struct jt_found *f, bool pending, uint64_t now_s,
		bool json)
{
	const struct jt_card *card = &f->card;
	char text[JT_NAME_MAX + 1];
	struct jt_sheet s;

	jt_sheet_begin(&s, json);
	jt_sheet_text(&s, "id", "Id", field(card->id, JT_ID_BYTES, text), NULL);
	jt_sheet_text(&s, "name", "Name", field(card->name, JT_NAME_MAX, text),
		      NULL);
	jt_sheet_text(&s, "env", "Environment",
		      field(card->env, JT_ENV_MAX, text), NULL);
	jt_sheet_text(&s, "owner", "Owner",
		      field(card->owner, JT_OWNER_MAX, text), NULL);
	jt_sheet_text(&s, "status", "Status",
		      pending ? "Revoked" : jt_card_status(card, now_s),
		      pending ? "Revoked (not in the journal yet)" : NULL);
	put_time(&s, "created", "Created", card->created_s, now_s);
	put_time(&s, "expires", "Expires", card->expires_s, now_s);
	if (card->type == JT_REC_REVOKE)
		put_time(&s, "revoked", "Revoked", card->changed_s, now_s);
	put_rotation(&s, card, now_s);
	put_limit(&s, f);
	put_use(&s, f, now_s);
	jt_sheet_flag(&s, "recoverable", "Can be copied",
		      jt_card_recoverable(card));
	jt_sheet_number(&s, "record", "Record", (int64_t)card->last, NULL);
	if (s.object)
		as_listed(s.object, f);
	jt_sheet_end(&s);
}

int jt_cmd_show(const struct jt_cmd *cmd)
{
	const char *id = cmd->operands[0];
	struct jt_fault fault = {0};
	struct jt_in_force in_force;
	struct jt_control control;
	struct jt_journal j;
	static struct jt_found f;
	bool pending;
	int e = jt_id_check(id);

	if (e)
		return e;
	e = jt_journal_open(&j, &jt_io_os, cmd->paths.data, &fault);
	if (e)
		return jt_journal_refusal(e, &fault);
	/* without a keeper the journal answers, only the use is unknown */
	(void)jt_control_connect(&control, cmd->paths.data, JT_CONTROL_WAIT_MS);
	jt_in_force_read(&in_force, &j, &control);
	e = jt_lookup(&j, &control, id, &f, &fault);
	pending = e == 0 && f.card.type != JT_REC_REVOKE &&
		  jt_in_force_denies(&in_force, id);
	jt_control_close(&control);
	jt_journal_close(&j);
	jt_in_force_free(&in_force);
	if (e)
		return jt_journal_refusal(e, &fault);
	if (!f.exists)
		return jt_no_such_id(id);
	put(&f, pending, in_force.now_s, cmd->json);
	return 0;
}
