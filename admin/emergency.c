/*
 * emergency: a revoke that the journal does not take.
 *
 * The disk is full and the reserve gone, another writer holds the lock, the
 * disk fails, the file system is read-only: whatever it is, what was decided
 * under the lock, or without it from what can be read, is told to the keeper.
 * It denies at once, keeps the revokes in the file `deny` and commits them as
 * soon as it can (sidecar/denials.c). There is no other writer of that file,
 * so without a keeper the refusal stands.
 *
 * Exit 0 is promised to outlive kill -9, a crash of the machine and a restart:
 * an entry that was flushed does, so it is 0, with a line that says where it
 * stands. What is in the keeper's memory only is 5. Several tokens are several
 * entries under one flush: after a crash in the middle some may be denied
 * though nothing was acknowledged.
 */
#include "admin/amend.h"
#include "admin/deny.h"
#include "admin/vault_use.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct emergency {
	struct jt_amend *a;
	size_t n_denied, n_unknown;
	uint64_t pending, in_memory;
};

static int original(const struct jt_amend *a)
{
	return jt_journal_refusal(a->change.trouble, &a->change.fault);
}

/* A directory that is not there or not ours has no keeper of ours. */
static bool is_hopeless(int trouble)
{
	return trouble == JT_JOURNAL_E_NONE || trouble == JT_JOURNAL_E_UNSAFE ||
	       trouble == -EACCES || trouble == -EPERM;
}

/* Of the ids as they were given, when nothing can be read. */
static int take_ids(struct jt_amend *a)
{
	size_t n = a->cmd->n_operands;

	a->records = calloc(n, sizeof(*a->records));
	if (!a->records)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	for (size_t i = 0; i < n; i++) {
		a->records[i].type = JT_REC_REVOKE;
		memcpy(a->records[i].token.id, a->cmd->operands[i],
		       JT_ID_BYTES);
	}
	a->n = a->n_max = n;
	return 0;
}

/* The lock was not to be had: decide on what is committed. */
static int decide(struct jt_amend *a, struct jt_fold *f)
{
	struct jt_fault fault = {0};
	int e = jt_journal_open(&a->change.journal, &jt_io_os,
				a->cmd->paths.data, &fault);

	if (e && (f || a->own))
		return original(a);
	if (e)
		return take_ids(a);
	e = f ? jt_fold_catch_up(f, &a->change.journal) : 0;
	if (e == 0)
		e = jt_amend_choose(a, f);
	a->change.done = a->change.journal.committed;
	jt_journal_close(&a->change.journal);
	return e;
}

static int deny_all(struct emergency *em)
{
	struct jt_amend *a = em->a;
	int e = 0;

	for (size_t i = 0; i < a->n && e == 0; i++) {
		struct jt_record *r = &a->records[i];

		if (r->type != JT_REC_REVOKE)
			continue;
		e = jt_control_deny(&a->change.control, r->token.id,
				    a->cmd->args.reason);
		if (e == JT_CONTROL_E_NOTFOUND) {
			em->n_unknown++;
			r->type = JT_REC_REASON; /* of nobody */
			jt_no_such_id(r->token.id);
			e = 0;
		} else if (e == 0) {
			em->n_denied++;
		}
	}
	if (e == 0)
		e = jt_control_denied(&a->change.control, &em->pending,
				      &em->in_memory);
	return e;
}

static void put_one(const struct emergency *em, const struct jt_record *r)
{
	char id[JT_ID_BYTES + 1] = "", name[JT_NAME_MAX + 1] = "";
	struct jt_sheet s;

	memcpy(id, r->token.id, JT_ID_BYTES);
	memcpy(name, r->token.name, strnlen(r->token.name, JT_NAME_MAX));
	jt_sheet_begin(&s, em->a->cmd->json);
	jt_sheet_text(&s, "id", "Id", id, NULL);
	jt_sheet_text(&s, "name", "Name", name, NULL);
	jt_sheet_text(&s, "status", "Status", "Revoked", NULL);
	jt_sheet_flag(&s, "in_force", "In force", true);
	jt_sheet_flag(&s, "durable", "Durable", em->in_memory == 0);
	jt_sheet_flag(&s, "recorded", "In the journal", false);
	jt_sheet_end(&s);
}

static int answer(const struct emergency *em, size_t n_left)
{
	const char *why = em->a->change.fault.line;
	const char *data = em->a->cmd->paths.data;

	for (size_t i = 0; i < em->a->n; i++)
		if (em->a->records[i].type == JT_REC_REVOKE)
			put_one(em, &em->a->records[i]);
	if (em->in_memory)
		return jt_fail(JT_EXIT_ENFORCED,
			       "%zu revoked and in force, but only in the "
			       "sidecar's memory: a restart of it would forget "
			       "that; keep it running, mend what is wrong and "
			       "see `jeton status` (%s)",
			       em->n_denied, why);
	if (em->n_denied)
		jt_note("%zu revoked, in force and kept in %s/%s; the sidecar "
			"records it in the journal as soon as it can, see "
			"`jeton status` (%s)",
			em->n_denied, data, JT_DENY_NAME, why);
	if (n_left)
		return jt_fail(JT_EXIT_FILE,
			       "%zu overlaps of leaked values could not be "
			       "ended; run it again when the journal can be "
			       "written, or revoke those tokens by id",
			       n_left);
	return em->n_unknown ? JT_EXIT_NO : 0;
}

static size_t finishes(const struct jt_amend *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n; i++)
		n += a->records[i].type == JT_REC_FINISH;
	return n;
}

static int by_keeper(struct jt_amend *a, struct jt_fold *f)
{
	struct emergency em = {.a = a};
	int e = a->n ? 0 : decide(a, f);

	if (e)
		return e;
	if (a->n == 0) /* the journal says so already */
		return jt_amend_settle(a);
	a->change.control.timeout_ms = JT_SETTLE_WAIT_MS;
	e = deny_all(&em);
	if (e)
		return jt_fail(JT_EXIT_FILE,
			       "%s; the sidecar did not deny all of it either "
			       "(%s), run it again",
			       a->change.fault.line,
			       jt_control_reason(&a->change.control, e));
	if (em.in_memory == 0)
		jt_vault_forget(&a->cmd->paths, a->records, a->n);
	return answer(&em, finishes(a));
}

int jt_emergency(struct jt_amend *a, struct jt_fold *f)
{
	struct jt_change *c = &a->change;
	int e;

	if (is_hopeless(c->trouble))
		return original(a);
	c->sidecar = jt_control_connect(&c->control, c->paths->data,
					JT_CONTROL_WAIT_MS);
	if (c->sidecar)
		return original(a);
	e = by_keeper(a, f);
	jt_control_close(&c->control);
	return e;
}
