/*
 * torture_follow: a follower that looks at any moment, or misses most of them.
 *
 * It is the keeper's own (feed.h), on a table of its own, and it runs between
 * two calls of the writer: before every one, before the K-th alone, or now and
 * then. What it has applied must be a batch's end, on the disk, and what the
 * table tells is what the model says of that number; never less than before.
 */
#include "tests/torture.h"

#include "sidecar/feed.h"

#define STEPS_MAX 1000u
#define BATCHES 12u

static struct torture_state states[BATCHES + 1];
static unsigned states_n;
static struct jt_feed feed;
static struct jt_segment_fds fds;
static struct jt_maps maps, worker;
static uint64_t calls, look_at, seen;
static struct jt_fault fault;

static void hold(void)
{
	for (unsigned i = 0; i < states_n; i++) {
		if (states[i].number != feed.applied)
			continue;
		torture_ask(&worker, &states[i]);
		return;
	}
	torture_failed("record %" PRIu64 " was applied, which ends no batch",
		       feed.applied);
}

static void look(void)
{
	unsigned n = 0;

	while (jt_feed_step(&feed))
		if (++n > STEPS_MAX)
			torture_failed("the follower does not come to an end");
	if (feed.health != JT_HEALTH_OK)
		torture_failed("the follower is red: %s", feed.why);
	if (feed.applied < seen)
		torture_failed("the follower went back");
	seen = feed.applied;
	if (seen)
		torture_must_be_safe(seen, "applied");
	hold();
	T_COUNT(looks);
}

/* LOOK_AT 0: before every call; else before that one alone. */
static void now_and_then(void)
{
	calls++;
	if (!look_at || calls == look_at)
		look();
}

static void begin(void)
{
	const struct jt_segment_size size = {
		.capacity = 64, .pool_bytes = 4096, .prefix = "jt"};
	struct jt_journal j;

	torture_begin(&states[0]);
	torture_tell(&states[0], 4);
	states_n = 1;
	seen = 0;
	if (jt_journal_open(&j, &help_io, HELP_DIR, &fault) ||
	    jt_segment_create(&size, j.id, &fds, &maps) ||
	    jt_segment_map(&fds, &worker) ||
	    jt_feed_init(&feed, HELP_DIR, &j, &maps))
		stress_die("follower", 1);
	while (jt_feed_step(&feed))
		continue;
	if (jt_feed_settle(&feed))
		torture_failed("the follower cannot settle");
	jt_store_seq(&maps.identity_rw->state, JT_IDENTITY_SERVING);
}

static void end(void)
{
	jt_feed_deinit(&feed);
	jt_segment_unmap(&maps);
	jt_segment_unmap(&worker);
	close(fds.identity);
	close(fds.meters);
}

static void commit(void)
{
	struct jt_record records[T_BATCH_MAX];
	size_t n = torture_invent(&states[states_n - 1], &states[states_n],
				  records, 1 + stress_below(&t.random, 5));

	states_n++;
	calls = 0;
	torture_hook = now_and_then;
	if (torture_append(records, n))
		torture_failed("a commit under a follower");
	torture_hook = NULL;
}

static void follow(uint64_t at)
{
	begin();
	look_at = at;
	for (unsigned i = 0; i < BATCHES; i++) {
		commit();
		/* the next look comes late, or with the next batch alone */
		if (stress_below(&t.random, 3) == 0)
			look();
	}
	look();
	if (feed.applied != states[states_n - 1].number)
		torture_failed("the follower misses commits");
	end();
}

void torture_followers(void)
{
	t.step = "follower";
	for (t.at = 0; t.at < 60; t.at++)
		if (torture_mine(t.at))
			follow(t.at);
}
