/*
 * feed: see feed.h.
 *
 * Order, for every record: on the disk (flushed here), in the table (table.c),
 * counted in `applied` (release). Only then is a SYNC for it answered, so
 * "done" means durable and in force.
 *
 * Replay is a function of the bytes alone: numbers of plans and the order of
 * tokens come from the journal, and nothing depends on how the chunks fell.
 *
 * The journal may be renamed, replaced or cut while it is followed. That is
 * noticed before the next acknowledgement (jt_journal_refresh): the new file
 * is taken only when it is the same journal and bears, at the last number that
 * was applied, the very tag that was verified; else health is red, and the
 * table stays as it is.
 */
#include "sidecar/feed.h"

#include "shm/meter.h"
#include "sidecar/log.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 4096u
#define AHEAD 16u /* puts whose memory is on its way */

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

static uint32_t length(const char *text, size_t max)
{
	return (uint32_t)strnlen(text, max);
}

static void measure(const struct jt_record *r, size_t n, uint64_t *tokensp,
		    uint64_t *owner_bytesp, char last[JT_OWNER_MAX])
{
	for (size_t i = 0; i < n; i++) {
		if (r[i].type != JT_REC_CREATE)
			continue;
		(*tokensp)++;
		/* neighbours are often alike; that much is not counted twice */
		if (memcmp(last, r[i].token.owner, JT_OWNER_MAX) == 0)
			continue;
		memcpy(last, r[i].token.owner, JT_OWNER_MAX);
		*owner_bytesp += length(last, JT_OWNER_MAX) + 1;
	}
}

int jt_feed_measure(const struct jt_journal *journal, uint64_t *tokensp,
		    uint64_t *owner_bytesp, struct jt_fault *faultp)
{
	struct jt_record *chunk = malloc(CHUNK * sizeof(*chunk));
	char last[JT_OWNER_MAX] = "";
	uint64_t next = journal->base + 1, end = journal->committed.number;
	int rc = chunk ? 0 : -ENOMEM;

	*tokensp = *owner_bytesp = 0;
	while (!rc && next <= end) {
		size_t n = end - next + 1 < CHUNK ? end - next + 1 : CHUNK;

		rc = jt_journal_read(journal, next, chunk, n, faultp);
		if (!rc)
			measure(chunk, n, tokensp, owner_bytesp, last);
		next += n;
	}
	free(chunk);
	return rc;
}

int jt_feed_init(struct jt_feed *feed, const char *data,
		 const struct jt_journal *journal, struct jt_maps *maps)
{
	memset(feed, 0, sizeof(*feed));
	feed->data = data;
	feed->journal = *journal;
	feed->maps = maps;
	feed->applied = journal->base;
	feed->flushed = journal->committed.number;
	jt_reader_init(&feed->reader, &feed->journal);
	feed->chunk = malloc(CHUNK * sizeof(*feed->chunk));
	feed->plans = calloc(JT_PLANS_MAX, sizeof(*feed->plans));
	feed->history =
		calloc(maps->identity->capacity, sizeof(*feed->history));
	if (feed->chunk && feed->plans && feed->history &&
	    !jt_intern_init(&feed->owners))
		return 0;
	free(feed->chunk);
	free(feed->plans);
	free(feed->history);
	return -ENOMEM;
}

void jt_feed_deinit(struct jt_feed *feed)
{
	jt_intern_deinit(&feed->owners);
	free(feed->chunk);
	free(feed->plans);
	free(feed->history);
	jt_journal_close(&feed->journal);
}

/* The slot that holds this very value; false: none. */
static bool slot_of(const struct jt_feed *feed, const struct jt_record *r,
		    struct jt_view *viewp)
{
	uint64_t key = jt_token_key((const uint8_t *)r->token.id,
				    feed->maps->identity->seed);
	uint32_t cursor = 0;

	while (jt_table_next(feed->maps, key, &cursor, viewp))
		if (memcmp(viewp->digest, r->token.digest, JT_DIGEST_BYTES) ==
		    0)
			return true;
	return false;
}

static int apply_create(struct jt_feed *feed, const struct jt_record *r)
{
	const struct jt_record_token *t = &r->token;
	struct jt_identity *id = feed->maps->identity_rw;
	uint64_t line = jt_load_relaxed(&id->tokens); /* relaxed: ours */
	struct jt_entry e = {
		.state = JT_SLOT_ACTIVE,
		.plan = t->plan,
		.scope_set = t->scope_set,
		.expires_s = t->expires_s,
		.meter = (uint32_t)line,
	};
	uint64_t slot;
	int rc;

	if (line >= id->capacity || (t->plan && t->plan > feed->n_plans))
		return JT_TABLE_E_FULL;
	e.env = jt_table_env(feed->maps,
			     jt_env_word(r->env, length(r->env, 8)));
	if (!e.env)
		return JT_TABLE_E_FULL;
	rc = jt_intern(&feed->owners, feed->maps, t->owner,
		       length(t->owner, JT_OWNER_MAX), &e.owner);
	if (rc)
		return rc;
	memcpy(e.id, t->id, sizeof(e.id));
	memcpy(e.digest, t->digest, sizeof(e.digest));
	rc = jt_table_put(feed->maps, &e, &slot);
	if (rc)
		return rc;
	feed->history[line] = (struct jt_feed_history){r->number, r->number};
	jt_count(&id->tokens, 1);
	return 0;
}

static int apply_revoke(struct jt_feed *feed, const struct jt_record *r)
{
	struct jt_view view;

	if (!slot_of(feed, r, &view))
		return -ENOENT;
	jt_table_set_state(feed->maps, view.slot, JT_SLOT_REVOKED);
	feed->history[jt_b_meter(view.b)].last = r->number;
	return 0;
}

static int apply_plan(struct jt_feed *feed, const struct jt_record *r)
{
	const struct jt_record_plan *p = &r->plan;
	uint64_t interval_ns;

	if (p->number != feed->n_plans + 1 || !p->rate)
		return -EINVAL;
	interval_ns = jt_meter_interval_ns(p->rate, p->period_ns);
	if (!jt_meter_bounds_ok(&(struct jt_bounds){.interval_ns = interval_ns,
						    .burst = p->burst}))
		return -EINVAL;
	feed->plans[p->number] = (struct jt_feed_plan){
		.rate = p->rate,
		.period_ns = p->period_ns,
		.burst = p->burst,
		.record = r->number,
	};
	feed->n_plans = p->number;
	return jt_table_put_plan(feed->maps, p->number, interval_ns, p->burst);
}

static int apply(struct jt_feed *feed, const struct jt_record *r)
{
	if (feed->denies_only && r->type != JT_REC_REVOKE)
		return 0;
	switch (r->type) {
	case JT_REC_CREATE:
		return apply_create(feed, r);
	case JT_REC_REVOKE:
		return apply_revoke(feed, r);
	case JT_REC_PLAN:
		return apply_plan(feed, r);
	default:
		return -EPROTO;
	}
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

static void apply_chunk(struct jt_feed *feed, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int rc;

		if (i + AHEAD < n)
			jt_table_prefetch(
				feed->maps,
				(uint8_t *)feed->chunk[i + AHEAD].token.id);
		rc = apply(feed, &feed->chunk[i]);
		if (rc) {
			/* a later revoke must still be put in force */
			cannot_apply(feed, feed->chunk[i].number, rc);
			feed->denies_only = true;
		}
	}
	if (feed->denies_only || !n)
		return;
	feed->applied = feed->chunk[n - 1].number;
	/* pairs with readers of `applied` in verdicts: what it counts is in */
	jt_store_release(&feed->maps->identity_rw->applied, feed->applied);
}

/* Take the file that the path names now, if it is what we have followed. */
static int follow(struct jt_feed *feed, struct jt_fault *faultp)
{
	struct jt_journal other;
	struct jt_record last;
	int rc = jt_journal_open(&other, feed->journal.io, feed->data, faultp);

	if (rc)
		return rc;
	rc = JT_JOURNAL_E_REPLACED;
	snprintf(faultp->line, sizeof(faultp->line),
		 "the journal was replaced by another one; put the right one "
		 "back, or restart jetond");
	if (memcmp(other.id, feed->journal.id, sizeof(other.id)) ||
	    other.base > feed->reader.next - 1 ||
	    other.committed.number < feed->reader.next - 1)
		goto out;
	if (feed->reader.next - 1 > other.base) {
		rc = jt_journal_read(&other, feed->reader.next - 1, &last, 1,
				     faultp);
		if (!rc && memcmp(last.tag, feed->reader.tag, JT_TAG_BYTES))
			rc = JT_JOURNAL_E_REPLACED;
		if (rc)
			goto out;
	}
	jt_journal_close(&feed->journal);
	feed->journal = other;
	feed->flushed = 0;
	return 0;
out:
	jt_journal_close(&other);
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

bool jt_feed_step(struct jt_feed *feed)
{
	struct jt_fault fault = {0};
	size_t n = 0;
	int rc;

	/* what was found is applied to the end before looking again */
	if (feed->reader.next > feed->journal.committed.number && !look(feed))
		return false;
	feed->reader.journal = &feed->journal;
	rc = jt_reader_next(&feed->reader, feed->chunk, CHUNK, &n, &fault);
	if (rc) {
		turn(feed, JT_HEALTH_LOST,
		     fault.line[0] ? fault.line : strerror(rc < 0 ? -rc : EIO));
		return false;
	}
	apply_chunk(feed, n);
	return feed->reader.next <= feed->journal.committed.number;
}

int jt_feed_fits(const struct jt_feed *feed, uint64_t tokens, uint64_t plans,
		 uint64_t owner_bytes, struct jt_fault *faultp)
{
	const struct jt_identity *id = feed->maps->identity;
	/* relaxed: the keeper reads its own words */
	uint64_t pool_left = id->pool_bytes - jt_load_relaxed(&id->pool_used);
	uint64_t used = jt_load_relaxed(&id->tokens);
	const char *what = NULL;

	if (!jt_table_fits(feed->maps, tokens))
		what = "tokens";
	else if (owner_bytes > pool_left)
		what = "owners' names";
	else if (plans > JT_PLANS_MAX - 1u - feed->n_plans)
		what = "different limits (65,535 at most)";
	if (!what)
		return 0;
	snprintf(faultp->line, sizeof(faultp->line),
		 "the table is full: no room for %llu more %s (%llu of %llu "
		 "tokens in use); restart jetond with a larger --capacity",
		 (unsigned long long)(what[0] == 't'   ? tokens
				      : what[0] == 'o' ? owner_bytes
						       : plans),
		 what, (unsigned long long)used,
		 (unsigned long long)id->capacity);
	return JT_TABLE_E_FULL;
}

uint16_t jt_feed_plan(const struct jt_feed *feed, uint64_t rate,
		      uint64_t period_ns, uint64_t burst, uint16_t *nextp)
{
	*nextp = feed->n_plans < JT_PLANS_MAX - 1
			 ? (uint16_t)(feed->n_plans + 1)
			 : 0;
	for (uint32_t i = 1; i <= feed->n_plans; i++) {
		const struct jt_feed_plan *p = &feed->plans[i];

		if (p->rate == rate && p->period_ns == period_ns &&
		    p->burst == burst)
			return (uint16_t)i;
	}
	return 0;
}

bool jt_feed_look(const struct jt_feed *feed, const char id[JT_ID_BYTES],
		  struct jt_look *lookp)
{
	uint64_t key =
		jt_token_key((const uint8_t *)id, feed->maps->identity->seed);
	const struct jt_feed_history *h;
	const struct jt_meter *m;
	struct jt_view view;
	uint32_t cursor = 0;

	if (!jt_table_next(feed->maps, key, &cursor, &view))
		return false;
	h = &feed->history[jt_b_meter(view.b)];
	m = jt_table_meter(feed->maps, view.b);
	/* relaxed: statistics */
	*lookp = (struct jt_look){
		.first = h->first,
		.last = h->last,
		.plan = feed->plans[jt_b_plan(view.b)].record,
		.uses = jt_load_relaxed(&m->uses),
		.refusals = jt_load_relaxed(&m->refusals),
		.last_use_s = jt_load_relaxed(&m->last_use_s),
	};
	return true;
}
