/*
 * jeton rotate: another value under the same id.
 *
 * Both values work until the overlap ends, so that whoever uses the old one
 * can be moved over. As with create, the new value is printed only once it is
 * in force; when it then cannot be delivered, the rotation is taken back: the
 * old value is the token's value again.
 */
#include "admin/amend.h"
#include "admin/describe.h"
#include "admin/expiry.h"
#include "admin/outfile.h"
#include "admin/vault_use.h"
#include "shm/token.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define OVERLAP_DEFAULT "24h"

struct rotate {
	uint64_t overlap_s;
	struct jt_outfile out;
	char token[JT_TOKEN_BYTES + 1]; /* and '\n' */
	struct jt_record before;	/* the newest record before */
};

static int check(struct jt_amend *a)
{
	const char *text = a->cmd->args.overlap;
	struct rotate *r = a->own;
	int e = jt_span_parse(text ? text : OVERLAP_DEFAULT, a->now_s,
			      &r->overlap_s);

	if (e)
		return jt_fail(JT_EXIT_USAGE, "--overlap %s", jt_span_why(e));
	if (!a->cmd->args.out && a->cmd->stdout_closed)
		return jt_fail(JT_EXIT_FILE,
			       "stdout is closed, nothing was changed; open it "
			       "or use --out FILE");
	return 0;
}

/* The value before a rotation ends with the overlap, or with the token. */
static uint64_t old_ends_s(uint64_t old_until_s, uint64_t expires_s)
{
	return old_until_s < expires_s ? old_until_s : expires_s;
}

/* May this token have another value now? */
static int check_token(const struct jt_amend *a, const struct jt_found *f)
{
	char until[JT_TIME_TEXT];

	if (f->newest.type == JT_REC_REVOKE)
		return jt_fail(JT_EXIT_NO,
			       "%.24s is revoked for good; make a new one with "
			       "`jeton create`",
			       f->card.id);
	if (a->now_s >= f->card.expires_s)
		return jt_fail(JT_EXIT_NO,
			       "%.24s is expired; `jeton renew` it first",
			       f->card.id);
	if (a->now_s >= f->card.old_until_s || a->cmd->args.force)
		return 0;
	jt_time_format(f->card.old_until_s, until);
	return jt_fail(JT_EXIT_NO,
		       "the last rotation of %.24s overlaps until %s: rotating "
		       "again would end a value that may still be used; see "
		       "`jeton rotate --status %.24s`, then end the overlap "
		       "with --finish, or give --force",
		       f->card.id, until, f->card.id);
}

static int one(struct jt_amend *a, const struct jt_found *f,
	       struct jt_record *r)
{
	struct rotate *own = a->own;
	int e = check_token(a, f);

	if (e)
		return e;
	jt_token_remake(f->card.id, own->token);
	own->token[JT_TOKEN_BYTES] = '\n';
	own->before = f->newest;
	jt_token_digest((const uint8_t *)own->token, r->token.digest);
	r->token.scheme = JT_VALUE_NATIVE;
	r->token.old_until_s = (uint32_t)(a->now_s + own->overlap_s);
	a->numbers.room.values++;
	if (!a->cmd->args.out)
		return 0;
	fwrite(own->token, 1, sizeof(own->token), own->out.file);
	return jt_outfile_sync(&own->out);
}

/* Is the rotation still the last that happened to the token? */
static int check_newest(const struct jt_amend *a, struct jt_change *undo)
{
	const struct jt_record *ours = &a->records[0];
	struct jt_fault fault = {0};
	static struct jt_found f;
	int e = jt_lookup(&undo->journal, &undo->control, ours->token.id, &f,
			  &fault);

	if (e)
		return jt_journal_refusal(e, &fault);
	if (f.exists && f.newest.number == ours->number)
		return 0;
	return jt_fail(JT_EXIT_NO, "meanwhile %.24s was changed again",
		       ours->token.id);
}

/*
 * Nobody has the new value: the token's value is the old one again, unless
 * somebody has changed the token since; a revoke above all stays.
 */
static int take_back(struct jt_amend *a, int error)
{
	struct rotate *own = a->own;
	struct jt_record r = {.type = JT_REC_ROTATE};
	bool forced = own->before.token.old_until_s > a->now_s;
	struct jt_change undo;
	enum jt_force force;
	int e = jt_change_begin(&undo, &a->cmd->paths);

	memcpy(r.env, own->before.env, sizeof(r.env));
	r.token = own->before.token;
	/* what nobody has shall not work as the old value, either */
	if (forced)
		r.token.old_until_s = (uint32_t)a->now_s;
	if (e == 0)
		e = check_newest(a, &undo);
	if (e == 0)
		e = jt_change_commit(&undo, &r, 1);
	if (e) {
		jt_change_end(&undo);
		return jt_fail(JT_EXIT_FILE,
			       "the new value could not be written to stdout "
			       "(%s) and the rotation stands; the old value "
			       "works until its overlap ends: run rotate again "
			       "with --force",
			       strerror(-error));
	}
	a->undone = true;
	force = jt_change_settle(&undo);
	jt_change_end(&undo);
	return jt_fail(JT_EXIT_FILE,
		       "stdout did not take the value (%s), so the rotation "
		       "was taken back%s%s; run it again, perhaps with --out "
		       "FILE",
		       strerror(-error),
		       forced ? ", but the value before the last rotation has "
				"ended"
			      : "",
		       force == JT_FORCE_NOT ? ", which is NOT in force yet"
					     : "");
}

/* A token that can be copied stays so: its new value goes to the vault, too. */
static int store_value(struct jt_amend *a)
{
	uint8_t sealed[1][JT_VAULT_SEALED_BYTES];
	struct rotate *own = a->own;
	struct jt_fault fault = {0};
	struct jt_vault vault;
	int e;

	if (!(a->records[0].token.flags & JT_TOKEN_RECOVERABLE))
		return 0;
	e = jt_vault_open(&vault, &a->change.journal, a->cmd->paths.data,
			  &fault);
	if (e)
		return jt_vault_refusal(e, &fault);
	jt_vault_seal(vault.key.public_key, own->token, sealed[0]);
	e = jt_vault_put(&vault, &a->change.journal, a->records, a->n,
			 (const uint8_t(*)[JT_VAULT_SEALED_BYTES])sealed,
			 &fault);
	jt_vault_close(&vault);
	return e ? jt_vault_refusal(e, &fault) : 0;
}

static int print_json(const struct jt_amend *a, const struct rotate *own)
{
	const struct jt_record *r = &a->records[0];
	char until[JT_TIME_TEXT], *text;
	json_t *o = json_object();
	int e;

	jt_time_format(old_ends_s(r->token.old_until_s, r->token.expires_s),
		       until);
	json_object_set_new(o, "id", jt_json_text(r->token.id, JT_ID_BYTES));
	if (!a->cmd->args.out)
		json_object_set_new(o, "token",
				    json_stringn(own->token, JT_TOKEN_BYTES));
	json_object_set_new(o, "old_value_until", json_string(until));
	json_object_set_new(o, "in_force",
			    json_boolean(a->force == JT_FORCE_NOW));
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (!text)
		return -ENOMEM;
	e = jt_write_all(STDOUT_FILENO, text, strlen(text));
	if (e == 0)
		e = jt_write_all(STDOUT_FILENO, "\n", 1);
	jt_wiping_free(text);
	return e;
}

static int deliver(struct jt_amend *a)
{
	struct rotate *own = a->own;
	int e = 0;

	if (a->n == 0)
		return 0;
	if (a->cmd->args.out) {
		e = jt_outfile_publish(&own->out);
		if (e)
			return e;
	}
	if (a->cmd->json)
		e = print_json(a, own);
	else if (!a->cmd->args.out)
		e = jt_write_all(STDOUT_FILENO, own->token, sizeof(own->token));
	if (e == 0 && !a->cmd->args.out)
		e = jt_stdout_close();
	if (e && a->cmd->args.out)
		return jt_fail(JT_EXIT_FILE,
			       "the value is in %s, but the answer could not "
			       "be written to stdout (%s)",
			       a->cmd->args.out, strerror(-e));
	return e ? take_back(a, e) : 0;
}

/* All but the value goes to stderr. */
static void tell(struct jt_amend *a, const char *receipt)
{
	const struct jt_record_token *t = &a->records[0].token;
	const struct rotate *own = a->own;
	char until[JT_TIME_TEXT];

	jt_time_format(old_ends_s(t->old_until_s, t->expires_s), until);
	jt_note(own->overlap_s ? "the old value of %.24s works until %s, too"
			       : "the old value of %.24s does not work any "
				 "more (%s)",
		t->id, until);
	jt_note("receipt %s", receipt);
}

static int rotate(const struct jt_cmd *cmd)
{
	static const struct jt_amend_verb verb = {
		.type = JT_REC_ROTATE,
		.done = "rotated",
		.room = true,
		.check = check,
		.one = one,
		.before = store_value,
		.after = deliver,
		.tell = tell,
	};
	const struct rlimit none = {0, 0};
	struct rotate own = {.out = {.dir_fd = -1}};
	int e = 0;

	/* a value passes through this memory: no core file, no debugger */
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	if (cmd->args.out)
		e = jt_outfile_open(&own.out, cmd->args.out);
	if (e == 0)
		e = jt_amend(cmd, &verb, &own);
	jt_outfile_discard(&own.out);
	sodium_memzero(&own, sizeof(own));
	return e;
}

/* ---- --finish ---- */

static int finish_one(struct jt_amend *a, const struct jt_found *f,
		      struct jt_record *r)
{
	if (f->newest.type == JT_REC_REVOKE || a->now_s >= f->card.old_until_s)
		return JT_AMEND_SAME;
	r->token.old_until_s = (uint32_t)a->now_s;
	return 0;
}

static int finish(const struct jt_cmd *cmd)
{
	static const struct jt_amend_verb verb = {
		.type = JT_REC_FINISH,
		.done = "finished",
		.one = finish_one,
	};

	return jt_amend(cmd, &verb, NULL);
}

/* ---- --status ---- */

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

/* Who is still to be moved over; a restart forgets it. */
static void put_user(struct jt_sheet *s, const struct jt_look *look)
{
	char user[JT_UID_TEXT];
	uint32_t uid = (uint32_t)(look->old_use_by - 1);

	if (!look->old_use_by || look->old_use_by > UINT32_MAX)
		return;
	jt_describe_uid(uid, user);
	jt_sheet_number(s, "old_value_used_by", "Old value used by", uid, user);
}

static int put_status(const struct jt_found *f, bool json)
{
	uint64_t now_s = jt_io_os.wall_ns() / 1000000000u;
	uint64_t ends_s = old_ends_s(f->card.old_until_s, f->card.expires_s);
	bool overlaps = now_s < ends_s && f->card.type != JT_REC_REVOKE;
	char id[JT_ID_BYTES + 1] = "";
	struct jt_sheet s;

	memcpy(id, f->card.id, JT_ID_BYTES);
	jt_sheet_begin(&s, json);
	jt_sheet_text(&s, "id", "Id", id, NULL);
	jt_sheet_text(&s, "rotation", "Rotation",
		      !f->card.old_until_s ? "never"
		      : overlaps	   ? "overlaps"
					   : "finished",
		      NULL);
	if (f->card.old_until_s)
		put_time(&s, "old_value_until", "Old value until", ends_s,
			 now_s);
	if (f->look.old_use_s)
		put_time(&s, "old_value_used", "Old value used",
			 f->look.old_use_s, now_s);
	else
		jt_sheet_text(&s, "old_value_used", "Old value used",
			      f->metered ? "not since the rotation, as far as "
					   "was counted"
					 : "unknown: no sidecar runs",
			      NULL);
	put_user(&s, &f->look);
	jt_sheet_end(&s);
	return 0;
}

static int show_status(const struct jt_cmd *cmd, const char *id)
{
	static struct jt_found f;
	struct jt_fault fault = {0};
	struct jt_control control;
	struct jt_journal j;
	int e = jt_id_check(id);

	if (e)
		return e;
	e = jt_journal_open(&j, &jt_io_os, cmd->paths.data, &fault);
	if (e)
		return jt_journal_refusal(e, &fault);
	(void)jt_control_connect(&control, cmd->paths.data, JT_CONTROL_WAIT_MS);
	e = jt_lookup(&j, &control, id, &f, &fault);
	jt_control_close(&control);
	jt_journal_close(&j);
	if (e)
		return jt_journal_refusal(e, &fault);
	return f.exists ? put_status(&f, cmd->json) : jt_no_such_id(id);
}

int jt_cmd_rotate(const struct jt_cmd *cmd)
{
	const struct jt_args *a = &cmd->args;

	if (!a->status == !cmd->n_operands)
		return jt_fail(JT_EXIT_USAGE,
			       "rotate takes an ID, or --status ID; see `jeton "
			       "help rotate`");
	if ((a->status || a->finish) &&
	    (a->overlap || a->force || a->out || (a->status && a->finish)))
		return jt_fail(JT_EXIT_USAGE,
			       "%s makes no new value and takes no --overlap, "
			       "--force, --out%s; see `jeton help rotate`",
			       a->status ? "--status" : "--finish",
			       a->status ? " or --finish" : "");
	if (a->status)
		return show_status(cmd, a->status);
	return a->finish ? finish(cmd) : rotate(cmd);
}
