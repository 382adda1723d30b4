/*
 * change: see change.h.
 *
 * The lock is taken before the keeper is looked for, and the keeper is looked
 * for once more after the commit: one that started in between may have read
 * the journal before our commit, so it is asked to catch up; one that starts
 * later reads the commit. Either way nothing recorded is ever missed.
 *
 * Without a keeper the anchor is ours to write, under the lock. With one,
 * also with a silent one, it is the keeper's: two writers would fight over its
 * two slots.
 */
#include "admin/change.h"
#include "admin/anchor.h"
#include "admin/output.h"

#include <errno.h>
#include <string.h>

#define LOCK_WAIT_MS 2000u

static int connect_keeper(struct jt_change *c)
{
	return jt_control_connect(&c->control, c->paths->data,
				  JT_CONTROL_WAIT_MS);
}

const char *jt_control_reason(const struct jt_control *c, int e)
{
	if (e < 0)
		return strerror(-e);
	if (strncmp(c->line, "ERR ", 4) == 0) {
		const char *sentence = strchr(c->line + 4, ' ');

		return sentence ? sentence + 1 : c->line + 4;
	}
	return c->line[0] ? c->line : "no sidecar runs";
}

int jt_journal_refusal(int e, const struct jt_fault *fault)
{
	const char *remedy = "";

	if (e == JT_JOURNAL_E_NONE)
		remedy = "; check --data, or make one with `jeton create NAME`";
	else if (e == JT_JOURNAL_E_EXISTS)
		remedy = "; use it as it is, or choose another --data";
	else if (e == -EACCES || e == -EPERM)
		remedy = "; run jeton as the owner of the data directory";
	return jt_fail(JT_EXIT_FILE, "%s%s", fault->line, remedy);
}

static int refuse(struct jt_change *c, int e, const struct jt_fault *fault)
{
	c->trouble = e;
	c->fault = *fault;
	return c->mute ? JT_EXIT_FILE : jt_journal_refusal(e, fault);
}

static int begin(struct jt_change *c, const struct jt_paths *paths, bool mute)
{
	struct jt_fault fault = {0};
	int e;

	memset(c, 0, sizeof(*c));
	c->mute = mute;
	c->paths = paths;
	c->control.fd = -1;
	c->sidecar = JT_CONTROL_E_NOT_SERVING;
	e = jt_journal_open_write(&c->journal, &jt_io_os, paths->data,
				  LOCK_WAIT_MS, &fault);
	if (e)
		return refuse(c, e, &fault);
	c->locked = true;
	if (c->journal.adopted)
		jt_note("ALARM: a damaged commit slot of the journal was "
			"repaired; check the disk and run `jeton journal "
			"check`");
	c->sidecar = connect_keeper(c);
	return 0;
}

int jt_change_begin(struct jt_change *c, const struct jt_paths *paths)
{
	return begin(c, paths, false);
}

int jt_change_begin_mute(struct jt_change *c, const struct jt_paths *paths)
{
	return begin(c, paths, true);
}

int jt_change_consent(const struct jt_change *c)
{
	if (c->sidecar == 0 || c->sidecar == JT_CONTROL_E_NOT_SERVING)
		return 0;
	return jt_fail(JT_EXIT_SIDECAR,
		       "the sidecar runs but does not answer (%s), nothing was "
		       "changed; see `jeton status` or restart it",
		       jt_control_reason(&c->control, c->sidecar));
}

int jt_change_still_alone(const struct jt_change *c)
{
	char dir[PATH_MAX];

	if (c->sidecar != JT_CONTROL_E_NOT_SERVING ||
	    !jt_control_where(c->paths->data, dir))
		return 0;
	return jt_fail(JT_EXIT_SIDECAR, "a sidecar has just started, nothing "
					"was changed; run it again");
}

static void write_anchor(const struct jt_change *c)
{
	uint64_t now_s = jt_io_os.wall_ns() / 1000000000u;
	struct jt_anchor anchor;
	int dir = c->journal.dir_fd, e;

	if (jt_anchor_read(&jt_io_os, dir, &anchor) != 0)
		memset(&anchor, 0, sizeof(anchor));
	memcpy(anchor.journal_id, c->journal.id, sizeof(anchor.journal_id));
	memcpy(anchor.tag, c->done.tag, sizeof(anchor.tag));
	anchor.number = c->done.number;
	/* more than a day ahead is for the sidecar to believe (mark.h) */
	if (anchor.clock_s == 0 ||
	    (anchor.clock_s < now_s && now_s - anchor.clock_s <= 86400u))
		anchor.clock_s = now_s;
	e = jt_anchor_write(&jt_io_os, dir, &anchor);
	if (e)
		jt_note("the change is recorded, but the anchor beside the "
			"journal could not be written (%s); keep the receipt",
			e < 0 ? strerror(-e) : "it is not a file of ours");
}

static void unlock(struct jt_change *c)
{
	if (c->locked)
		jt_journal_close(&c->journal);
	c->locked = false;
}

int jt_change_commit(struct jt_change *c, struct jt_record *records, size_t n)
{
	struct jt_fault fault = {0};
	int e = jt_journal_append(&c->journal, records, n, &fault);

	if (e) {
		jt_change_end(c);
		return refuse(c, e, &fault);
	}
	c->done = c->journal.committed;
	if (c->sidecar == JT_CONTROL_E_NOT_SERVING)
		write_anchor(c);
	unlock(c);
	return 0;
}

void jt_change_keep(struct jt_change *c)
{
	c->done = c->journal.committed;
	unlock(c);
}

enum jt_force jt_change_settle(struct jt_change *c)
{
	int e;

	if (c->control.fd < 0)
		c->sidecar = connect_keeper(c);
	if (c->sidecar == JT_CONTROL_E_NOT_SERVING)
		return JT_FORCE_LATER;
	c->control.timeout_ms = JT_SETTLE_WAIT_MS;
	e = c->sidecar ? c->sidecar
		       : jt_control_sync(&c->control, c->done.number);
	if (e == 0)
		return JT_FORCE_NOW;
	jt_fail(JT_EXIT_SIDECAR,
		"recorded, NOT in force yet: the sidecar did not confirm (%s); "
		"see `jeton status`, or restart it",
		jt_control_reason(&c->control, e));
	return JT_FORCE_NOT;
}

void jt_change_end(struct jt_change *c)
{
	unlock(c);
	jt_control_close(&c->control);
}

int jt_change_revoke(struct jt_change *c, const struct jt_record *token)
{
	struct jt_record r;

	memset(&r, 0, sizeof(r));
	r.type = JT_REC_REVOKE;
	memcpy(r.env, token->env, sizeof(r.env));
	r.token = token->token;
	return jt_change_commit(c, &r, 1);
}
