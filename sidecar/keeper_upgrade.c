/*
 * keeper_upgrade: what is different in a keeper's life while there are two
 * daemons with one journal: the steps of handover.h, and who owns what when.
 *
 *   from            older                      newer
 *   start           all                        nothing; it may fail
 *   ESTATE          verdicts, control door     -
 *   SERVING         what is open there still   all else
 *   GONE            -                          all
 *
 * Anchor, snapshots and use counts have one writer at any time: the older until
 * the estate, the newer from when it serves. In between nobody: it is short.
 *
 * A revoke. Whoever is asked to SYNC answers when both have applied that
 * number, from before the newer one serves until no process of the older one
 * is there. So at no moment can anybody who answers have missed it.
 *
 * Room. The older one's lines are counted from the estate on. When more tokens
 * come than it surely has lines for, or the newer one wants a larger table, it
 * applies nothing more and leaves at once, and whoever waits for a SYNC waits
 * for that; requests that have begun are answered, connections that idle end.
 */
#include "sidecar/keeper_inner.h"

#include "sidecar/estate.h"
#include "sidecar/keeper.h"
#include "sidecar/log.h"
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull
#define SCRIBE_MS 1000u
#define LEAVE_NS (80 * NS_PER_S)  /* longer than HTTP connections idle */
#define HURRY_NS (2 * NS_PER_S)	  /* admins wait three */
#define ADMINS_NS (15 * NS_PER_S) /* for those who are connected still */
#define STOP_MS 3000u

/* ---- the older one ---- */

static const char *hindrance(const struct keeper *k)
{
	if (k->heir.phase != JT_HEIR_NONE)
		return "the daemon before this one is still leaving; try again";
	if (k->upgrade.phase != JT_UPGRADE_NONE)
		return "another daemon is about to take over already";
	if (!jt_keeper_serves(k))
		return "the journal is being replayed; try again when it "
		       "serves";
	if (jt_growth_busy(&k->growth))
		return "the table grows; try again";
	if (k->denials.n)
		return "revokes wait for the journal; see jeton status";
	return NULL;
}

bool jt_keeper_upgrade(void *ctx, const char **whyp)
{
	struct keeper *k = ctx;

	*whyp = hindrance(k);
	if (*whyp) {
		jt_log(JT_LOG_WARNING, "no upgrade: %s", *whyp);
		return false;
	}
	if (jt_upgrade_start(&k->upgrade, &k->service, k->now_ns)) {
		k->crew.successor = k->upgrade.pid;
		return true;
	}
	*whyp = k->upgrade.why;
	jt_log(JT_LOG_ERROR, "no upgrade: %s", *whyp);
	return false;
}

bool jt_keeper_upgraded(void *ctx, const char **whyp, int *pidp,
			const char **versionp)
{
	struct keeper *k = ctx;

	*whyp = k->upgrade.why[0] ? k->upgrade.why : NULL;
	*pidp = (int)k->upgrade.pid;
	*versionp = k->upgrade.version;
	return k->upgrade.phase == JT_UPGRADE_NONE ||
	       k->upgrade.phase == JT_UPGRADE_SERVES;
}

/* The desks that ours leave, on one side of them. */
static void spare_desks(const struct jt_crew *crew,
			struct jt_handover_word *word)
{
	uint32_t end = crew->args.first_desk + crew->n_hands;

	word->desk = end;
	word->n_desks = JT_WORKERS_MAX - end;
	if (crew->args.first_desk <= word->n_desks)
		return;
	word->desk = 0;
	word->n_desks = crew->args.first_desk;
}

static void offer(struct keeper *k)
{
	struct jt_handover_word word = {
		.number = k->feed.applied,
		.capacity = k->maps.capacity,
		.seed = k->maps.identity->seed,
	};
	int fds[JT_DOORS_N];
	uint32_t passed;

	fds[JT_DOOR_METERS] = k->crew.args.segments.meters;
	jt_doors_offer(&k->doors, fds, &passed);
	spare_desks(&k->crew, &word);
	jt_upgrade_offer(&k->upgrade, &word, fds, passed);
}

/* Nobody writes use counts or a snapshot, nor is anybody started, from here on.
 */
static void give(struct keeper *k)
{
	int fds[JT_HANDOVER_FDS];
	unsigned n = 1;
	int workers;

	k->crew.leaving = k->feed.yields = true;
	jt_keeper_anchor(k, true); /* the clock's mark as well */
	jt_clerk_stop(&k->clerk);
	(void)jt_crew_stop_scribe(&k->crew, false, SCRIBE_MS);
	fds[0] = jt_estate_write(&k->feed.ledger);
	if (fds[0] < 0) {
		jt_upgrade_give(&k->upgrade, 0, fds, 0, strerror(-fds[0]));
		return;
	}
	/* one that is not known of would not be waited for */
	workers = jt_crew_pidfds(&k->crew, fds + n);
	jt_upgrade_give(&k->upgrade, k->feed.applied, fds,
			workers < 0 ? n : n + (unsigned)workers,
			workers < 0 ? strerror(-workers) : NULL);
}

static void leave(struct keeper *k)
{
	k->doors.borrowed = true;
	k->controls.closed = true;
	jt_attaches_yield(&k->attaches);
	/* pairs with jt_crossing_leaves() */
	jt_store_release(&k->maps.identity_rw->offered, JT_OFFERED_LEAVE);
	jt_service_moved(&k->service, (int)k->upgrade.pid);
	k->upgrade.deadline_ns = k->now_ns + LEAVE_NS;
	jt_log(JT_LOG_NOTICE,
	       "jetond %s, process %d, serves now; this one leaves when its "
	       "last connection has",
	       k->upgrade.version, (int)k->upgrade.pid);
}

/* Room is needed that there is only without us. */
static void hurry(struct keeper *k)
{
	uint64_t soon_ns = k->now_ns + HURRY_NS;

	/* relaxed: our own word */
	if (jt_load_relaxed(&k->maps.identity->offered) == JT_OFFERED_HURRY)
		return;
	/* pairs with jt_crossing_hurries() */
	jt_store_release(&k->maps.identity_rw->offered, JT_OFFERED_HURRY);
	if (soon_ns < k->upgrade.deadline_ns)
		k->upgrade.deadline_ns = soon_ns;
	jt_log(JT_LOG_INFO, "more tokens come than this one has room for; "
			    "leaving now, and ending what idles");
}

/* What the other one wrote last; that it was well was seen at the start. */
static void take_anchor(struct keeper *k)
{
	struct jt_anchor anchor;

	if (jt_anchor_read(k->feed.journal.io, k->feed.journal.dir_fd, &anchor))
		return;
	k->anchor = anchor;
	if (anchor.clock_s > k->mark.mark_s)
		k->mark.mark_s = anchor.clock_s; /* never back */
	/* relaxed: pairs with jt_clock_s() */
	jt_store_relaxed(&k->maps.identity_rw->clock_s, k->mark.mark_s);
}

/* The next one is no more, and with it all that it had of ours. */
static void take_back(struct keeper *k)
{
	int rc;

	k->crew.leaving = k->feed.yields = false;
	k->controls.closed = false;
	for (unsigned i = 0; i < k->crew.n_hands; i++)
		k->crew.hands[i].dismissed = false;
	/* pairs with jt_crossing_leaves() */
	jt_store_release(&k->maps.identity_rw->offered, 0);
	if (k->feed.ledger.shared)
		jt_estate_release(&k->feed.ledger);
	take_anchor(k);
	jt_attaches_resume(&k->attaches, k->now_ns + JT_LEASE_NS);
	k->controls.hold_until_ns = jt_attaches_hold_until_ns(&k->attaches);
	rc = jt_doors_own(&k->doors);
	if (rc)
		jt_log(JT_LOG_ERROR, "%s/%s cannot be written: %s",
		       k->doors.paths.data, JT_SERVING_NAME, strerror(-rc));
}

/* Its turn while ours leave. True: nothing holds us any more. */
static bool has_left(struct keeper *k)
{
	struct jt_upgrade *u = &k->upgrade;
	uint64_t since_ns = u->deadline_ns - LEAVE_NS;

	if (u->way_out >= 0 && jt_crew_dismiss(&k->crew, u->way_out)) {
		close(u->way_out); /* its end is seen when ours are gone */
		u->way_out = -1;
	}
	if (k->now_ns >= u->deadline_ns || k->feed.health == JT_HEALTH_LOST)
		return true;
	return jt_crew_is_gone(&k->crew) &&
	       (jt_controls_count(&k->controls) == 0 ||
		k->now_ns >= since_ns + ADMINS_NS);
}

static void tend_next(struct keeper *k)
{
	struct jt_upgrade *u = &k->upgrade;

	switch (jt_upgrade_tend(u, k->crew.successor, k->crew.successor_status,
				k->feed.applied, k->now_ns)) {
	case JT_UPGRADE_GOES_ON:
		break;
	case JT_UPGRADE_OFFER:
		offer(k);
		break;
	case JT_UPGRADE_ESTATE:
		give(k);
		break;
	case JT_UPGRADE_LEAVE:
		leave(k);
		break;
	case JT_UPGRADE_HURRY:
		hurry(k);
		break;
	case JT_UPGRADE_STOP:
		k->stopping = true;
		break;
	case JT_UPGRADE_FAILED:
		take_back(k);
		break;
	}
	if (u->phase != JT_UPGRADE_SERVES || u->why[0])
		return;
	if (k->feed.outgrown)
		hurry(k);
	if (has_left(k))
		k->stopping = true;
}

/* ---- the newer one ---- */

bool jt_keeper_succeeds(struct keeper *k)
{
	struct jt_heir *h = &k->heir;
	int rc;

	if (h->phase == JT_HEIR_NONE)
		return true;
	if (h->phase == JT_HEIR_LEARNS)
		(void)jt_heir_ready(h, k->feed.applied); /* or next turn */
	if (h->phase != JT_HEIR_GIVEN || k->feed.applied < h->theirs)
		return false;
	if (h->inherited.shared)
		jt_segment_uncover(&k->maps);
	rc = jt_estate_take(&k->feed.ledger, h->estate, h->inherited.shared);
	close(h->estate);
	h->estate = -1;
	take_anchor(k); /* before anybody is judged by its mark */
	if (!rc)
		return true;
	jt_log(JT_LOG_ERROR,
	       "what the daemon before leaves cannot be taken: %s",
	       rc < 0 ? strerror(-rc) : "it does not fit this table");
	k->stopping = true;
	return false;
}

void jt_keeper_succeeded(struct keeper *k)
{
	struct jt_heir *h = &k->heir;
	int rc;

	if (h->phase == JT_HEIR_NONE)
		return;
	k->crew.args.waits = false;
	k->controls.closed = false;
	jt_attaches_resume(&k->attaches, 0);
	rc = jt_doors_own(&k->doors);
	if (!rc)
		rc = jt_keeper_hire_scribe(k);
	if (rc)
		jt_log(JT_LOG_ERROR,
		       "not all of it could be taken over: %s; restart jetond",
		       strerror(-rc));
	jt_heir_serves(h, k->feed.applied);
}

static int tend_before(struct keeper *k)
{
	struct jt_heir *h = &k->heir;

	switch (jt_heir_tend(h, k->feed.applied)) {
	case JT_HEIR_GOES_ON:
		return 0;
	case JT_HEIR_GAVE_UP:
		jt_log(JT_LOG_ERROR, "the daemon before hands over no more");
		return JT_EXIT_OS;
	case JT_HEIR_ALONE:
		break;
	}
	jt_estate_release(&k->feed.ledger);
	k->crew.args.queue = -1;
	if (!h->said_goodbye) {
		/* who attached there may believe it a little longer */
		jt_attaches_resume(&k->attaches, k->now_ns + JT_LEASE_NS);
		k->controls.hold_until_ns =
			jt_attaches_hold_until_ns(&k->attaches);
	}
	jt_log(JT_LOG_NOTICE, "the daemon before has left");
	return 0;
}

/* ---- both ---- */

uint64_t jt_keeper_others(void *ctx)
{
	const struct keeper *k = ctx;
	uint64_t before = jt_heir_theirs(&k->heir);
	uint64_t next = jt_upgrade_theirs(&k->upgrade);

	return before < next ? before : next;
}

/*
 * Someone has to revoke what the journal does not take: that comes first. One
 * that does not serve yet is not to; who leaves leaves now, and with it the
 * connections that it still has.
 */
bool jt_keeper_alone(void *ctx)
{
	struct jt_handover_word word = {.kind = JT_HANDOVER_GONE};
	struct keeper *k = ctx;

	if (k->upgrade.phase != JT_UPGRADE_NONE &&
	    k->upgrade.phase != JT_UPGRADE_SERVES)
		jt_upgrade_abort(&k->upgrade);
	if (k->heir.phase == JT_HEIR_SERVES && k->heir.link >= 0)
		(void)jt_handover_send(k->heir.link, &word, NULL, 0);
	return !jt_keeper_is_double(k);
}

int jt_keeper_tend_upgrade(struct keeper *k)
{
	tend_next(k);
	return tend_before(k);
}

/* True: it has ended. */
static bool wait_for(pid_t pid, unsigned ms)
{
	const struct timespec step = {.tv_nsec = 2000000};

	for (; ms && waitpid(pid, NULL, WNOHANG) == 0; ms -= 2)
		nanosleep(&step, NULL);
	return ms;
}

/* Nobody else writes the counts of use, so that we are to save them. */
static void take_back_to_stop(struct keeper *k)
{
	bool given = k->upgrade.phase == JT_UPGRADE_GIVEN;

	k->upgrade.phase = JT_UPGRADE_NONE;
	if (!given)
		return;
	take_back(k);
	jt_crew_tend(&k->crew, k->now_ns);
}

void jt_keeper_stop_others(struct keeper *k)
{
	struct jt_handover_word word = {.kind = JT_HANDOVER_GONE};
	const struct timespec step = {.tv_nsec = 2000000};

	/* one that does not serve yet has nothing to end */
	if (k->upgrade.pid && k->upgrade.phase != JT_UPGRADE_SERVES) {
		kill(k->upgrade.pid, SIGKILL);
		if (wait_for(k->upgrade.pid, STOP_MS))
			take_back_to_stop(k);
	}
	if (k->heir.phase != JT_HEIR_SERVES || k->heir.link < 0)
		return;
	(void)jt_handover_send(k->heir.link, &word, NULL, 0);
	for (unsigned ms = 0; ms < STOP_MS; ms += 2) {
		if (jt_heir_tend(&k->heir, k->feed.applied) == JT_HEIR_ALONE)
			break;
		nanosleep(&step, NULL);
	}
}
