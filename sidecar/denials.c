/*
 * denials: see denials.h.
 *
 * Order at a revoke: table, file, flush, answer. A crash before the answer
 * leaves the token as it was or denied; after it, denied.
 *
 * Order at a commit: journal (durable), then the entry is cleared. A crash
 * between leaves an entry of a token that the journal calls revoked: it is
 * cleared at the next start. The record is made from the newest one of the
 * token, under the journal's lock and only when the table knows all that is
 * committed; it bears the uid and the reason of whoever asked. A journal that
 * is poisoned, damaged or another's is not written (jt_journal_open_write()).
 *
 * A flush of the file that failed is not tried again: nobody knows what that
 * file holds. Another one is made, from the list, and flushed as a whole.
 */
#include "sidecar/denials.h"

#include "sidecar/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAKE_NS 5000000000ull
#define COMMIT_NS 500000000ull
#define IN_MEMORY JT_DENY_MAX

/* ---- the list ---- */

static bool push(struct jt_denials *d, const struct jt_denial *denial,
		 uint32_t place)
{
	if (d->n == JT_DENIALS_MAX)
		return false;
	d->list[d->n] = *denial;
	d->places[d->n++] = place;
	return true;
}

static bool is_listed(const struct jt_denials *d, const char id[JT_ID_BYTES])
{
	for (uint32_t i = 0; i < d->n; i++)
		if (memcmp(d->list[i].id, id, JT_ID_BYTES) == 0)
			return true;
	return false;
}

static uint32_t in_memory(const struct jt_denials *d)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->n; i++)
		n += d->places[i] == IN_MEMORY;
	return n;
}

/* ---- the file ---- */

/* It is of no use any more; all that stands in it is in memory, too. */
static void give_up(struct jt_denials *d, int rc)
{
	jt_deny_close(&d->file);
	snprintf(d->file_why, sizeof(d->file_why), "%s", jt_deny_why(rc));
	for (uint32_t i = 0; i < d->n; i++)
		d->places[i] = IN_MEMORY;
	d->dirty = false;
}

static void make(struct jt_denials *d)
{
	uint32_t n = d->n < JT_DENY_MAX ? d->n : JT_DENY_MAX;
	int rc;

	if (d->keep_file || d->file.fd >= 0)
		return;
	rc = jt_deny_make(&d->file, d->io, d->dir_fd, d->journal_id, d->list,
			  n);
	if (rc) {
		give_up(d, rc);
		return;
	}
	d->file_why[0] = '\0';
	memset(d->taken, 0, JT_DENY_MAX);
	for (uint32_t i = 0; i < d->n; i++)
		d->places[i] = i < n ? i : IN_MEMORY;
	memset(d->taken, 1, n);
	d->dirty = false;
}

static void put_in_file(struct jt_denials *d, uint32_t i)
{
	const uint8_t *free_p = memchr(d->taken, 0, JT_DENY_MAX);
	uint32_t place = free_p ? (uint32_t)(free_p - d->taken) : IN_MEMORY;
	int rc;

	if (d->file.fd < 0 || place == IN_MEMORY)
		return;
	rc = jt_deny_write(&d->file, place, &d->list[i]);
	if (rc) {
		give_up(d, rc);
		return;
	}
	d->taken[place] = 1;
	d->places[i] = place;
	d->dirty = true;
}

/* Those for which there was no place when they came. */
static void catch_up(struct jt_denials *d)
{
	for (uint32_t i = 0; i < d->n && d->file.fd >= 0; i++)
		if (d->places[i] == IN_MEMORY)
			put_in_file(d, i);
}

static void flush(struct jt_denials *d)
{
	int rc = d->dirty ? jt_deny_sync(&d->file) : 0;

	d->dirty = false;
	if (rc)
		give_up(d, rc);
}

/* The first N of the list are in the journal, or never will have to be. */
static void drop(struct jt_denials *d, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t place = d->places[i];
		int rc;

		if (place == IN_MEMORY || d->file.fd < 0)
			continue;
		rc = jt_deny_clear(&d->file, place);
		if (rc) {
			give_up(d, rc);
			continue;
		}
		d->taken[place] = 0;
		d->dirty = true;
	}
	d->n -= n;
	d->n_dropped += n;
	memmove(d->list, d->list + n, d->n * sizeof(*d->list));
	memmove(d->places, d->places + n, d->n * sizeof(*d->places));
	flush(d);
}

/* ---- start ---- */

static void take(void *ctx, uint32_t place, enum jt_deny_kind kind,
		 const struct jt_denial *denial)
{
	struct jt_denials *d = ctx;

	d->taken[place] = 1;
	if (kind == JT_DENY_LOST) {
		d->n_lost++;
		return;
	}
	if (kind == JT_DENY_HURT)
		jt_log(JT_LOG_ALERT,
		       "%s/%s: entry %u is damaged; %.*s is denied all the "
		       "same; check the disk",
		       d->data, JT_DENY_NAME, place, JT_ID_BYTES, denial->id);
	push(d, denial, place);
}

static void count_foreign(void *ctx, uint32_t place, enum jt_deny_kind kind,
			  const struct jt_denial *denial)
{
	struct jt_denials *d = ctx;

	d->keep_file = true;
}

/* What is in there, and may it be gone on with? */
static void open_file(struct jt_denials *d)
{
	int rc =
		jt_deny_open(&d->file, d->io, d->dir_fd, d->journal_id, O_RDWR);

	if (rc == -EROFS || rc == -EACCES || rc == -EPERM) {
		int why = rc;

		rc = jt_deny_open(&d->file, d->io, d->dir_fd, d->journal_id,
				  O_RDONLY);
		if (rc == 0 || rc == JT_DENY_E_DAMAGED)
			jt_deny_scan(&d->file, take, d);
		else
			d->keep_file = true;
		give_up(d, why);
		return;
	}
	if (rc == JT_DENY_E_FOREIGN) {
		jt_deny_scan(&d->file, count_foreign, d);
		give_up(d, rc);
	} else if (rc == 0 || rc == JT_DENY_E_DAMAGED) {
		jt_deny_scan(&d->file, take, d);
		if (rc)
			jt_log(JT_LOG_ALERT,
			       "%s/%s is damaged; %u revokes were read from it "
			       "and it is made anew",
			       d->data, JT_DENY_NAME, d->n);
	} else {
		d->keep_file = rc != JT_DENY_E_NONE;
		give_up(d, rc);
	}
	if (rc == JT_DENY_E_DAMAGED) /* a whole one takes what was read */
		give_up(d, rc);
}

int jt_denials_init(struct jt_denials *d, const struct jt_journal *j,
		    const char *data)
{
	memset(d, 0, sizeof(*d));
	d->io = j->io;
	d->data = data;
	d->file.fd = -1;
	memcpy(d->journal_id, j->id, sizeof(d->journal_id));
	d->dir_fd =
		jt_io_open(j->io, AT_FDCWD, data, O_RDONLY | O_DIRECTORY, 0);
	d->list = calloc(JT_DENIALS_MAX, sizeof(*d->list));
	d->places = calloc(JT_DENIALS_MAX, sizeof(*d->places));
	d->taken = calloc(JT_DENY_MAX, 1);
	if (d->dir_fd < 0 || !d->list || !d->places || !d->taken)
		return d->dir_fd < 0 ? d->dir_fd : -ENOMEM;
	open_file(d);
	make(d);
	if (d->file_why[0] || d->n_lost)
		jt_log(JT_LOG_ERROR, "%s", jt_denials_trouble(d));
	return 0;
}

void jt_denials_deinit(struct jt_denials *d)
{
	if (!d->io)
		return;
	jt_deny_close(&d->file);
	if (d->dir_fd >= 0)
		d->io->close(d->dir_fd);
	free(d->list);
	free(d->places);
	free(d->taken);
	memset(d, 0, sizeof(*d));
}

void jt_denials_apply(struct jt_denials *d, struct jt_ledger *l)
{
	for (uint32_t i = 0; i < d->n; i++)
		(void)jt_ledger_deny_id(l, d->list[i].id);
	if (d->n)
		jt_log(JT_LOG_WARNING,
		       "%u revokes that are not in the journal yet were put in "
		       "force",
		       d->n);
}

/* ---- a revoke ---- */

int jt_denials_add(struct jt_denials *d, struct jt_ledger *l,
		   const char id[JT_ID_BYTES], uint32_t uid, const char *reason)
{
	struct jt_denial denial = {.actor_uid = uid,
				   .time_ns = d->io->wall_ns()};

	switch (jt_ledger_deny_id(l, id)) {
	case JT_DENIED_NOBODY:
		return JT_DENIALS_E_NOTFOUND;
	case JT_DENIED_RECORDED:
		return 0;
	case JT_DENIED_BEFORE:
		if (is_listed(d, id))
			return 0;
		break;
	case JT_DENIED_NOW:
		break;
	}
	memcpy(denial.id, id, sizeof(denial.id));
	memcpy(denial.reason, reason, strnlen(reason, sizeof(denial.reason)));
	if (!push(d, &denial, IN_MEMORY))
		return JT_DENIALS_E_FULL;
	if (d->n == 1)
		jt_log(JT_LOG_ALERT,
		       "a revoke could not be recorded in the journal; it is "
		       "in force and kept aside until it can");
	put_in_file(d, d->n - 1);
	return 0;
}

uint32_t jt_denials_settle(struct jt_denials *d)
{
	if (d->n == 0)
		return 0;
	if (d->file.fd >= 0 && !jt_deny_ours(&d->file, d->dir_fd))
		give_up(d, JT_DENY_E_NONE);
	flush(d);
	make(d);
	catch_up(d);
	flush(d);
	return in_memory(d);
}

/* ---- into the journal ---- */

/* Do two entries go into one batch? */
static bool alike(const struct jt_denial *a, const struct jt_denial *b)
{
	return a->actor_uid == b->actor_uid &&
	       memcmp(a->reason, b->reason, sizeof(a->reason)) == 0;
}

/* The revoke of one token; 1: there is nothing to record. */
static int record(const struct jt_journal *j, const struct jt_ledger *l,
		  const struct jt_denial *denial, struct jt_record *r,
		  struct jt_fault *faultp)
{
	uint32_t line = jt_ledger_find(l, denial->id);
	struct jt_record newest;
	int rc;

	if (line == JT_LINE_NONE || l->lines[line].state == JT_SLOT_REVOKED)
		return 1;
	rc = jt_journal_read(j, l->lines[line].last, &newest, 1, faultp);
	if (rc)
		return rc < 0 ? rc : -EIO;
	if (!jt_record_is_token(newest.type) ||
	    memcmp(newest.token.id, denial->id, JT_ID_BYTES) != 0)
		return -EPROTO;
	memset(r, 0, sizeof(*r));
	r->type = JT_REC_REVOKE;
	memcpy(r->env, newest.env, sizeof(r->env));
	r->token = newest.token;
	return 0;
}

/* As many of the oldest as go into one batch; *DONEP: of the list. */
static int commit(struct jt_denials *d, struct jt_journal *j,
		  const struct jt_ledger *l, uint32_t *donep,
		  struct jt_fault *faultp)
{
	static struct jt_record records[JT_DENIALS_BATCH + 1];
	const struct jt_denial *first = &d->list[0];
	uint32_t uid = first->actor_uid;
	size_t n = 0;
	uint32_t i;
	int rc;

	for (i = 0;
	     i < d->n && n < JT_DENIALS_BATCH && alike(first, &d->list[i]);
	     i++) {
		rc = record(j, l, &d->list[i], &records[n], faultp);
		if (rc < 0)
			return rc;
		n += rc == 0;
	}
	*donep = i;
	if (n == 0)
		return 0;
	if (first->reason[0]) {
		records[n] = (struct jt_record){.type = JT_REC_REASON};
		memcpy(records[n++].reason, first->reason,
		       sizeof(first->reason));
	}
	return jt_journal_append_for(j, uid == JT_DENY_NOBODY ? getuid() : uid,
				     records, n, faultp);
}

/* The journal takes nothing now: told when it begins, or is another reason. */
static void put_off(struct jt_denials *d, const char *why)
{
	if (strcmp(d->commit_why, why) != 0)
		jt_log(JT_LOG_ERROR, "%u revokes wait for the journal: %s",
		       d->n, why);
	snprintf(d->commit_why, sizeof(d->commit_why), "%s", why);
}

static void try_commit(struct jt_denials *d, struct jt_feed *feed)
{
	struct jt_fault fault = {0};
	struct jt_journal j;
	uint32_t done = 0;
	int rc = jt_journal_open_write(&j, d->io, d->data, 0, &fault);

	if (rc) {
		put_off(d, fault.line[0] ? fault.line
					 : strerror(rc < 0 ? -rc : EIO));
		return;
	}
	if (memcmp(j.id, d->journal_id, sizeof(j.id)) != 0)
		rc = jt_fault_set(&fault, JT_JOURNAL_E_REPLACED, 0, 0,
				  "the journal was replaced by another one");
	else if (j.committed.number != feed->applied)
		d->commit_ns = 0; /* the table is not up to date: next turn */
	else
		rc = commit(d, &j, &feed->ledger, &done, &fault);
	jt_journal_close(&j);
	if (rc) {
		put_off(d, fault.line[0] ? fault.line
					 : strerror(rc < 0 ? -rc : EIO));
		return;
	}
	if (!done)
		return;
	drop(d, done);
	d->commit_ns = 0;
	d->commit_why[0] = '\0';
	if (d->n == 0)
		jt_log(JT_LOG_NOTICE, "all revokes are in the journal again");
}

void jt_denials_tend(struct jt_denials *d, struct jt_feed *feed,
		     uint64_t now_ns)
{
	if (d->file_why[0] && !d->keep_file && now_ns >= d->make_ns) {
		make(d);
		d->make_ns = now_ns + MAKE_NS;
	}
	if (d->n == 0 || now_ns < d->commit_ns)
		return;
	d->commit_ns = now_ns + COMMIT_NS;
	if (feed->health == JT_HEALTH_OK)
		try_commit(d, feed);
	else
		put_off(d, feed->why);
	catch_up(d);
	flush(d);
}

/* ---- what is told ---- */

uint64_t jt_denials_tell(const struct jt_denials *d, uint64_t from, char *buf,
			 size_t max)
{
	uint64_t end = d->n_dropped + d->n, i;
	size_t len = 0;

	for (i = from > d->n_dropped ? from : d->n_dropped;
	     i < end && len + JT_ID_BYTES + 2 <= max; i++) {
		buf[len] = ' ';
		memcpy(buf + len + 1, d->list[i - d->n_dropped].id,
		       JT_ID_BYTES);
		len += JT_ID_BYTES + 1;
	}
	buf[len] = '\0';
	return i;
}

const char *jt_denials_trouble(struct jt_denials *d)
{
	if (d->n) {
		snprintf(d->why, sizeof(d->why),
			 "%u revokes are in force, but not in the journal yet, "
			 "%u of them in memory only (%s); they are recorded as "
			 "soon as that can be done",
			 d->n, in_memory(d),
			 d->commit_why[0] ? d->commit_why : "just now");
		return d->why;
	}
	if (d->n_lost) {
		snprintf(d->why, sizeof(d->why),
			 "%u entries of the file %s cannot be read, so tokens "
			 "may work that were revoked while the journal could "
			 "not be written; revoke them again, then stop "
			 "jetond, remove that file and start it",
			 d->n_lost, JT_DENY_NAME);
		return d->why;
	}
	if (!d->file_why[0])
		return NULL;
	snprintf(d->why, sizeof(d->why),
		 "the file %s cannot be used (%s), so a revoke that the "
		 "journal cannot take would not outlive a restart; %s",
		 JT_DENY_NAME, d->file_why,
		 d->keep_file ? "stop jetond, move that file away and start it"
			      : "check the disk and the data directory's "
				"permissions");
	return d->why;
}
