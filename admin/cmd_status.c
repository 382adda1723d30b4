/* jeton status: is the sidecar well, and what does it do? */
#include "admin/change.h"
#include "admin/cmd.h"
#include "admin/deny.h"
#include "admin/describe.h"

#include <string.h>

/* Field of the keeper's report as a line of the sheet, when it is there. */
static void put_field(struct jt_sheet *s, const json_t *o, const char *key,
		      const char *label)
{
	const json_t *v = json_object_get(o, key);

	if (json_is_string(v) && *json_string_value(v))
		jt_sheet_text(s, key, label, json_string_value(v), NULL);
	else if (json_is_integer(v))
		jt_sheet_number(s, key, label, json_integer_value(v), NULL);
}

static json_int_t number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void put_workers(struct jt_sheet *s, const json_t *workers)
{
	const json_t *w;
	char text[160], key[32];
	size_t i;

	json_array_foreach(workers, i, w)
	{
		const char *state =
			json_string_value(json_object_get(w, "state"));

		snprintf(key, sizeof(key), "worker_%zu", i + 1);
		snprintf(text, sizeof(text),
			 "pid %" JSON_INTEGER_FORMAT
			 " %s, connections %" JSON_INTEGER_FORMAT
			 " now %" JSON_INTEGER_FORMAT " in all",
			 number(w, "pid"), state ? state : "?",
			 number(w, "connections"), number(w, "accepted"));
		jt_sheet_text(s, key, "Worker", text, NULL);
	}
}

/* What each process can still do; layers that it has not are named. */
static void put_sandbox(struct jt_sheet *s, const json_t *sandbox)
{
	const json_t *p;
	char text[256], key[32];
	size_t i;

	json_array_foreach(json_object_get(sandbox, "processes"), i, p)
	{
		const char *who =
			json_string_value(json_object_get(p, "process"));
		const char *layers =
			json_string_value(json_object_get(p, "layers"));
		const char *missing =
			json_string_value(json_object_get(p, "missing"));

		if (!who || !layers || !missing)
			continue;
		snprintf(key, sizeof(key), "sandbox_%zu", i + 1);
		snprintf(text, sizeof(text),
			 "%.16s: %.80s; missing: %.80s; "
			 "%" JSON_INTEGER_FORMAT " descriptors",
			 who, layers, missing, number(p, "open_fds"));
		jt_sheet_text(s, key, "Sandbox", text, NULL);
	}
}

/* Who asks; of those without a number of their own no uid is known. */
static void put_callers(struct jt_sheet *s, const json_t *callers)
{
	char text[192], key[32], user[JT_UID_TEXT];
	const json_t *c, *uid;
	size_t i;

	json_array_foreach(callers, i, c)
	{
		uid = json_object_get(c, "uid");
		strcpy(user, "all others");
		if (json_is_integer(uid))
			jt_describe_uid((uint32_t)json_integer_value(uid),
					user);
		snprintf(key, sizeof(key), "caller_%zu", i + 1);
		snprintf(text, sizeof(text),
			 "%s, connections %" JSON_INTEGER_FORMAT
			 " now, %" JSON_INTEGER_FORMAT
			 " admitted, %" JSON_INTEGER_FORMAT
			 " refused, %" JSON_INTEGER_FORMAT " busy",
			 user, number(c, "connections"), number(c, "admitted"),
			 number(c, "refused"), number(c, "busy"));
		jt_sheet_text(s, key, "Caller", text, NULL);
	}
}

static void put_verdicts(struct jt_sheet *s, json_t *verdicts)
{
	const char *word;
	json_t *count;

	json_object_foreach(verdicts, word, count)
	{
		if (json_integer_value(count) == 0 &&
		    s->style == JT_STYLE_TABLE)
			continue;
		jt_sheet_number(s, word, word, json_integer_value(count), NULL);
	}
}

static void put_expiring(struct jt_sheet *s, json_t *expiring)
{
	char key[32], label[32];
	const char *days;
	json_t *count;

	json_object_foreach(expiring, days, count)
	{
		snprintf(key, sizeof(key), "expiring_%.4s", days);
		snprintf(label, sizeof(label), "Expire in %.4s d", days);
		jt_sheet_number(s, key, label, json_integer_value(count), NULL);
	}
}

/* "snapshot up to record 5 (3 s old), checked: yes"; "journal". */
static void put_snapshot(struct jt_sheet *s, json_t *o)
{
	const char *start = json_string_value(json_object_get(o, "start"));
	const char *checked = json_string_value(json_object_get(o, "checked"));
	const char *work = json_string_value(json_object_get(o, "work"));
	char text[192];

	if (!start || !checked || !work)
		return;
	snprintf(text, sizeof(text), "%.16s", start);
	if (strcmp(start, "snapshot") == 0)
		snprintf(text, sizeof(text),
			 "snapshot up to record %" JSON_INTEGER_FORMAT
			 ", %" JSON_INTEGER_FORMAT " s old, checked: %.16s",
			 number(o, "start_number"), number(o, "start_age_s"),
			 checked);
	jt_sheet_text(s, "started_from", "Started from", text, NULL);
	snprintf(text, sizeof(text), "none");
	if (number(o, "number"))
		snprintf(text, sizeof(text),
			 "up to record %" JSON_INTEGER_FORMAT
			 ", %" JSON_INTEGER_FORMAT " s old",
			 number(o, "number"), number(o, "age_s"));
	if (*work)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "; %.16s one", work);
	jt_sheet_text(s, "snapshot", "Snapshot", text, NULL);
}

static void put(json_t *o)
{
	static const struct {
		const char *key, *label;
	} fields[] = {
		{"health", "Health"},
		{"why", "Why"},
		{"settings", "Settings"},
		{"state", "State"},
		{"version", "Version"},
		{"pid", "Keeper pid"},
		{"uptime_s", "Uptime, s"},
		{"data", "Data"},
		{"run", "Sockets"},
		{"backend", "Backend"},
		{"ring", "Ring"},
		{"journal_id", "Journal id"},
		{"committed", "Committed"},
		{"applied", "Applied"},
		{"tokens", "Tokens"},
		{"capacity", "Capacity"},
		{"capacity_max", "It may grow to"},
		{"growing", "Growing, %"},
		{"growths", "Growths"},
		{"slots_used", "Slots used"},
		{"slots", "Slots"},
		{"plans", "Limits"},
		{"pending_revokes", "Revokes to record"},
		{"expired", "Expired"},
		{"shared_bytes", "Shared bytes"},
		{"large_page_bytes", "in 2 MB pages"},
		{"bytes_per_token", "Bytes per token"},
	};
	struct jt_sheet s;

	jt_sheet_begin(&s, false);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		put_field(&s, o, fields[i].key, fields[i].label);
	put_snapshot(&s, json_object_get(o, "snapshot"));
	put_expiring(&s, json_object_get(o, "expiring"));
	put_workers(&s, json_object_get(o, "workers"));
	put_sandbox(&s, json_object_get(o, "sandbox"));
	put_callers(&s, json_object_get(o, "callers"));
	put_verdicts(&s, json_object_get(o, "verdicts"));
	jt_sheet_end(&s);
}

/* Nobody serves: what does the journal say? */
static int put_idle(const struct jt_cmd *cmd)
{
	char receipt[JT_RECEIPT_MAX];
	struct jt_fault fault = {0};
	struct jt_deny_sum denied;
	struct jt_journal j;
	struct jt_sheet s;
	int e = jt_journal_open(&j, &jt_io_os, cmd->paths.data, &fault);

	if (e)
		return jt_fail(e == JT_JOURNAL_E_NONE ? JT_EXIT_SIDECAR
						      : JT_EXIT_FILE,
			       "no sidecar runs; %s", fault.line);
	jt_receipt_format(&j.committed, receipt);
	jt_sheet_begin(&s, cmd->json);
	jt_sheet_text(&s, "state", "State", "stopped", "no sidecar runs");
	jt_sheet_text(&s, "data", "Data", cmd->paths.data, NULL);
	jt_sheet_number(&s, "committed", "Committed",
			(int64_t)j.committed.number, NULL);
	jt_sheet_text(&s, "receipt", "Receipt", receipt, NULL);
	if (jt_deny_count(j.io, j.dir_fd, j.id, &denied) == 0)
		jt_sheet_number(&s, "pending_revokes", "Revokes to record",
				denied.pending, NULL);
	jt_sheet_end(&s);
	jt_journal_close(&j);
	return jt_fail(JT_EXIT_SIDECAR, "no sidecar serves %s; start jetond",
		       cmd->paths.data);
}

static int put_report(const struct jt_cmd *cmd, const char *text)
{
	json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	const char *health, *why;
	int e = 0;

	if (!json_is_object(o)) {
		json_decref(o);
		return jt_fail(JT_EXIT_SIDECAR,
			       "the sidecar's report is not understood; is it "
			       "of the same version?");
	}
	health = json_string_value(json_object_get(o, "health"));
	why = json_string_value(json_object_get(o, "why"));
	if (!health || strcmp(health, "ok") != 0)
		e = jt_fail(JT_EXIT_NO, "the sidecar is not well: %s",
			    why && *why ? why : "it does not say why");
	if (cmd->json)
		jt_put_json(stdout, json_incref(o));
	else
		put(o);
	json_decref(o);
	return e;
}

int jt_cmd_status(const struct jt_cmd *cmd)
{
	struct jt_control c;
	int e = jt_control_connect(&c, cmd->paths.data, JT_CONTROL_WAIT_MS);

	if (e == JT_CONTROL_E_NOT_SERVING)
		return put_idle(cmd);
	if (e < 0)
		return jt_fail(JT_EXIT_FILE,
			       "%s: %s; run jeton as the owner of the data "
			       "directory, or check --data",
			       cmd->paths.data, strerror(-e));
	if (e == 0)
		e = jt_control_status(&c);
	if (e == 0)
		e = put_report(cmd, c.line + 3);
	else
		e = jt_fail(
			JT_EXIT_SIDECAR,
			"a sidecar serves %s but does not answer (%s); look "
			"at its log or restart it",
			cmd->paths.data, jt_control_reason(&c, e));
	jt_control_close(&c);
	return e;
}
