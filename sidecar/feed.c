/*
 * feed: see feed.h.
 *
 * Order, for every record: on the disk (flushed here), in the table (table.c),
 * counted in `applied` (release). Only then is a SYNC for it answered, so
 * "done" means durable and in force.
 *
 * Replay is a function of the bytes alone: numbers of plans and the order of
 * tokens come from the journal, and nothing depends on how the chunks fell, or
 * on which core has verified them (replay.h).
 *
 * The journal may be renamed, replaced or cut while it is followed. That is
 * noticed before the next acknowledgement (jt_journal_refresh): the new file
 * is taken only when it is the same journal and bears, at the last number that
 * was applied, the very tag that was verified; else health is red, and the
 * table stays as it is.
 *
 * A compacted file is such a new file. Its records up to the base are known
 * here, so its state records are not read. Who has not applied all of them yet
 * reads on in the file before it, up to the base: from the descriptor that is
 * open already, or, when more than one compaction went by, from an archive.
 * Either is believed only as far as the header above it names its tag, so
 * nothing is applied that does not lead to the file that the path names.
 *
 * `applied` stays 0 while state records are replayed: their numbers have gaps,
 * and only all of them together are the state at the base.
 */
#include "sidecar/feed.h"

#include "admin/archive.h"
#include "sidecar/log.h"
#include "sidecar/way.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHUNK 4096u
#define WAY_RECORDS 64u	       /* some 40 us */
#define AHEAD 16u	       /* puts whose memory is on its way */
#define REPLAY_MIN (2 * CHUNK) /* from so many on a second core pays */

static void turn(struct jt_feed *feed, enum jt_health health, const char *why)
{
	if (feed->health == JT_HEALTH_LOST)
		return;
	if (feed->health == health && strcmp(feed->why, why) == 0)
		return;
	feed->health = health;
	snprintf(feed->why, sizeof(feed->why), "%s", why);
	if (health == JT_HEALTH_OK)
		jt_log(JT_LOG_NOTICE, "health is ok again");
	else
		jt_log(JT_LOG_ALERT, "health is red: %s", why);
}

/* What is in force when all that R has read is. */
static uint64_t applied(const struct jt_reader *r)
{
	return jt_reader_in_state(r) ? 0 : r->next - 1;
}

/* Without its memory one core does it. */
static void begin_replay(struct jt_feed *feed)
{
	uint64_t left = feed->journal.committed.number + 1 - feed->reader.next;

	feed->replaying = left >= REPLAY_MIN &&
			  !jt_replay_init(&feed->replay, &feed->reader);
}

int jt_feed_init(struct jt_feed *feed, const char *data,
		 const struct jt_journal *journal, struct jt_maps *maps)
{
	memset(feed, 0, sizeof(*feed));
	feed->data = data;
	feed->journal = *journal;
	feed->maps = maps;
	feed->flushed = journal->committed.number;
	jt_reader_init(&feed->reader, &feed->journal);
	feed->applied = applied(&feed->reader);
	feed->chunk = malloc(CHUNK * sizeof(*feed->chunk));
	if (!feed->chunk || jt_ledger_init(&feed->ledger, maps)) {
		free(feed->chunk);
		return -ENOMEM;
	}
	begin_replay(feed);
	return 0;
}

void jt_feed_resume(struct jt_feed *feed, const struct jt_commit *at)
{
	jt_replay_deinit(&feed->replay);
	feed->reader = (struct jt_reader){
		.journal = &feed->journal,
		.next = at->number + 1,
		.number = at->number,
		.part = 1,
		.parts = 1, /* a commit always ends a batch */
	};
	memcpy(feed->reader.tag, at->tag, JT_TAG_BYTES);
	feed->applied = at->number;
	memcpy(feed->applied_tag, at->tag, JT_TAG_BYTES);
	/* pairs with readers of `applied` in verdicts */
	jt_store_release(&feed->maps->identity_rw->applied, feed->applied);
	begin_replay(feed);
}

void jt_feed_forget(struct jt_feed *feed)
{
	jt_replay_deinit(&feed->replay);
	jt_ledger_deinit(&feed->ledger);
	free(feed->chunk);
}

void jt_feed_deinit(struct jt_feed *feed)
{
	jt_feed_forget(feed);
	jt_journal_close(&feed->journal);
}

/* A rotation may need a place that a value long over still holds. */
static int apply(struct jt_feed *feed, const struct jt_record *r)
{
	int rc;

	if (feed->denies_only)
		return jt_ledger_deny(&feed->ledger, r);
	if (r->type == JT_REC_ROTATE || r->type == JT_REC_CREATE)
		jt_ledger_tidy(&feed->ledger, 1);
	rc = jt_ledger_apply(&feed->ledger, r);
	if (rc && jt_record_is_token(r->type))
		(void)jt_ledger_deny(&feed->ledger, r);
	return rc;
}

static void cannot_apply(struct jt_feed *feed, uint64_t number, int rc)
{
	char line[sizeof(feed->why)];

	snprintf(line, sizeof(line),
		 rc == JT_TABLE_E_FULL
			 ? "record %llu does not fit the table; restart jetond "
			   "with a larger --capacity"
			 : "record %llu cannot be applied; run `jeton journal "
			   "check`",
		 (unsigned long long)number);
	turn(feed, JT_HEALTH_LOST, line);
}

int jt_feed_settle(struct jt_feed *feed)
{
	int rc = jt_ledger_settle(&feed->ledger);

	if (rc)
		turn(feed, JT_HEALTH_LOST,
		     "the tokens have more than 65,535 different limits; give "
		     "some of them limits that others have, with `jeton set`");
	return rc;
}

void jt_feed_clock(struct jt_feed *feed)
{
	struct timespec boot;

	clock_gettime(CLOCK_BOOTTIME, &boot);
	feed->ledger.now = (struct jt_now){
		.wall_s = feed->journal.io->wall_ns() / 1000000000u,
		.boot_ns = (uint64_t)boot.tv_sec * 1000000000u +
			   (uint64_t)boot.tv_nsec,
	};
}

static void apply_all(void *ctx, struct jt_record *records, size_t n)
{
	struct jt_feed *feed = ctx;

	jt_feed_clock(feed);
	for (size_t i = 0; i < n; i++) {
		int rc;

		jt_way_make(i, WAY_RECORDS);
		if (i + AHEAD < n)
			jt_ledger_prefetch(&feed->ledger, &records[i + AHEAD]);
		rc = apply(feed, &records[i]);
		if (rc) {
			/* a later revoke must still be put in force */
			cannot_apply(feed, records[i].number, rc);
			feed->denies_only = true;
		}
	}
	if (feed->denies_only || !n)
		return;
	feed->applied = applied(&feed->reader);
	memcpy(feed->applied_tag, feed->reader.tag, JT_TAG_BYTES);
	jt_table_set_applied(feed->maps, feed->applied);
}

static int replaced(struct jt_fault *faultp)
{
	snprintf(faultp->line, sizeof(faultp->line),
		 "the journal was replaced by another one; put the right one "
		 "back, or restart jetond");
	return JT_JOURNAL_E_REPLACED;
}

/* Is record AT in J, a file that holds it, the one that was verified here? */
static int meets(const struct jt_feed *feed, const struct jt_journal *j,
		 uint64_t at, struct jt_fault *faultp)
{
	const uint8_t *tag = j->base_tag;
	struct jt_record last;
	int rc = 0;

	if (at > j->base) {
		rc = jt_journal_read(j, at, &last, 1, faultp);
		tag = last.tag;
	}
	if (!rc && memcmp(tag, feed->reader.tag, JT_TAG_BYTES))
		rc = replaced(faultp);
	return rc;
}

static void take(struct jt_feed *feed, const struct jt_journal *j)
{
	jt_journal_close(&feed->journal);
	feed->journal = *j;
	feed->flushed = 0;
	feed->files++;
}

static int lags(uint64_t at, struct jt_fault *faultp)
{
	struct jt_fault why = *faultp;

	return jt_fault_set(faultp, JT_JOURNAL_E_ARCHIVED, at, 0,
			    "the journal was compacted while only record %llu "
			    "was in force, and %s; put it back, or restart "
			    "jetond",
			    (unsigned long long)at, why.line);
}

/* *J begins behind AT: go down to the file that does not. */
static int go_down(struct jt_journal *j, uint64_t at, uint64_t stop,
		   struct jt_fault *faultp)
{
	struct jt_journal older;

	while (j->base > at && j->archive != stop) {
		int rc = jt_archive_open(j, &older, faultp);

		if (rc == JT_JOURNAL_E_ARCHIVED)
			return lags(at, faultp);
		if (rc)
			return rc;
		jt_archive_close(j); /* the directory stays open */
		*j = older;
	}
	return 0;
}

/* The file that is open may lead to OTHER's base: then read it so far. */
static int finish_ours(struct jt_feed *feed, const struct jt_journal *other,
		       struct jt_fault *faultp)
{
	struct jt_journal ours = feed->journal;
	int rc = jt_journal_catch_up(&ours, faultp);

	if (!rc)
		rc = jt_archive_cut(&ours, other, faultp);
	if (!rc)
		feed->journal = ours; /* else what it says is not believed */
	return rc;
}

/*
 * Go on in the file that the path names now, or in the one that leads there, if
 * it is what we have followed.
 */
static int follow(struct jt_feed *feed, struct jt_fault *faultp)
{
	uint64_t at = feed->reader.next - 1;
	struct jt_journal other;
	int rc = jt_journal_open(&other, feed->journal.io, feed->data, faultp);

	if (rc)
		return rc;
	if (memcmp(other.id, feed->journal.id, sizeof(other.id)) ||
	    other.committed.number < at)
		rc = replaced(faultp);
	if (!rc)
		rc = go_down(&other, at, feed->journal.generation, faultp);
	if (!rc && other.base > at) {
		rc = finish_ours(feed, &other, faultp);
		jt_journal_close(&other);
		return rc;
	}
	if (!rc)
		rc = meets(feed, &other, at, faultp);
	if (rc)
		jt_journal_close(&other);
	else
		take(feed, &other);
	return rc;
}

/* New commits, durable. False: nothing may be applied now. */
static bool look(struct jt_feed *feed)
{
	struct jt_fault fault = {0};
	int rc = jt_journal_refresh(&feed->journal, &fault);

	if (rc == JT_JOURNAL_E_REPLACED || rc == JT_JOURNAL_E_NONE)
		rc = follow(feed, &fault);
	if (rc) {
		turn(feed, JT_HEALTH_RED,
		     fault.line[0] ? fault.line : strerror(rc < 0 ? -rc : EIO));
		return false;
	}
	if (!feed->denies_only)
		turn(feed, JT_HEALTH_OK, "");
	if (feed->journal.adopted && !feed->alarmed)
		jt_log(JT_LOG_ALERT,
		       "a commit slot of the journal is damaged; the records "
		       "were taken from their chain; run `jeton journal "
		       "check`");
	feed->alarmed = feed->journal.adopted;
	if (feed->journal.committed.number <= feed->flushed)
		return true;
	rc = jt_journal_sync(&feed->journal);
	if (rc && !feed->denies_only) {
		turn(feed, JT_HEALTH_LOST,
		     "the journal cannot be flushed; only revokes are applied; "
		     "check the disk, then restart jetond");
		feed->denies_only = true;
	}
	feed->flushed = feed->journal.committed.number;
	return true;
}

/* The journal does not read on. */
static bool broke(struct jt_feed *feed, const struct jt_fault *fault, int rc)
{
	turn(feed, JT_HEALTH_LOST,
	     fault->line[0] ? fault->line : strerror(rc < 0 ? -rc : EIO));
	return false;
}

/* What was committed when we came, on two cores. */
static bool replay(struct jt_feed *feed)
{
	struct jt_fault fault = {0};
	int rc = jt_replay_step(&feed->replay, &feed->reader, apply_all, feed,
				&feed->replaying, &fault);

	if (rc)
		feed->replaying = false;
	if (!feed->replaying)
		jt_replay_deinit(&feed->replay);
	if (rc)
		return broke(feed, &fault, rc);
	feed->stuck = false;
	return feed->reader.next <= feed->journal.committed.number;
}

/* Surely? Each record might be of a new token with all that it can have. */
static bool has_room(const struct jt_feed *feed)
{
	uint64_t n = feed->journal.committed.number - feed->reader.next + 1;
	const struct jt_room want = {n, n, n, n * JT_OWNER_MAX};
	struct jt_fault unused;

	return feed->reader.next > feed->journal.committed.number ||
	       !jt_ledger_fits(&feed->ledger, &want, &unused);
}

bool jt_feed_step(struct jt_feed *feed)
{
	struct jt_fault fault = {0};
	size_t n = 0;
	int rc;

	feed->stuck = true;
	if (feed->replaying)
		return replay(feed);
	/* what was found is applied to the end before looking again */
	if (feed->reader.next > feed->journal.committed.number && !look(feed))
		return false;
	feed->outgrown = feed->yields && !has_room(feed);
	if (feed->outgrown)
		return false;
	feed->reader.journal = &feed->journal;
	rc = jt_reader_next(&feed->reader, feed->chunk, CHUNK, &n, &fault);
	if (rc)
		return broke(feed, &fault, rc);
	apply_all(feed, feed->chunk, n);
	feed->stuck = false;
	return feed->reader.next <= feed->journal.committed.number;
}
