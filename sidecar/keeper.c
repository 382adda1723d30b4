/*
 * keeper: see keeper.h.
 *
 * Start: locks and sockets - journal and anchor checked - segments made for
 * what is stored, a snapshot loaded into them if there is one - workers and
 * scribe forked (they answer LOADING, it waits) - journal replayed - use counts
 * restored - serving. What the ledger holds is not inherited, whenever somebody
 * is forked; there is no ring here at all, and a second thread only within
 * single calls (both.h).
 *
 * Loop: the commit slots are looked at every TICK_MS and whenever an admin
 * waits; a change notification from the file system only shortens that.
 *
 * Stop: the workers first, then who verifies by itself, then what all of them
 * have counted is saved.
 *
 * Death of the keeper anywhere: workers and scribe die with it, both segments
 * vanish, and the next one rebuilds them from the journal. It writes four
 * things only: the anchor, the lock's text, the file `deny`, and the revokes in
 * there into the journal.
 */
#include "sidecar/keeper.h"

#include "sidecar/keeper_inner.h"
#include "sidecar/log.h"
#include "sidecar/memory.h"
#include "sidecar/outset.h"
#include "sidecar/restore.h"
#include "sidecar/room.h"
#include "sidecar/status.h"
#include "sidecar/trial.h"
#include "sidecar/user.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull
#define TICK_MS 50u /* a commit that nobody tells of is there within 100 */
#define STOP_MS 3000u
#define SAVE_MS 10000u
#define ANCHOR_NS (NS_PER_S / 2) /* well within the promised second */
#define ANCHOR_RETRY_NS (5 * NS_PER_S)
#define BEAT_NS (5 * NS_PER_S)

static uint64_t boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* ---- the anchor ---- */

static const char anchor_trouble[] =
	"the anchor cannot be written, so an older journal put back might go "
	"unnoticed; check the disk and the data directory's permissions";

static void write_anchor(struct keeper *k)
{
	struct jt_anchor next = {.number = k->feed.applied};
	bool failed;

	memcpy(next.journal_id, k->feed.journal.id, sizeof(next.journal_id));
	memcpy(next.tag, k->feed.applied_tag, sizeof(next.tag));
	next.clock_s = k->mark.mark_s;
	failed = jt_anchor_write(k->feed.journal.io, k->feed.journal.dir_fd,
				 &next) != 0;
	if (failed && !k->anchor_failed)
		jt_log(JT_LOG_ERROR, "%s", anchor_trouble);
	k->anchor_failed = failed;
	k->anchor_due_ns = failed ? k->now_ns + ANCHOR_RETRY_NS : 0;
	if (!failed)
		k->anchor = next;
}

/* Raise the mark, and tell all who verify. */
static void watch_clock(struct keeper *k)
{
	uint64_t wall_s = jt_io_os.wall_ns() / NS_PER_S;

	if (jt_mark_tend(&k->mark, wall_s, k->now_ns / NS_PER_S))
		jt_log(JT_LOG_ALERT, "%s", k->mark.why);
	for (struct jt_maps *m = &k->maps; m; m = m->twin)
		/* relaxed: pairs with jt_clock_s() */
		jt_store_relaxed(&m->identity_rw->clock_s, k->mark.mark_s);
}

/* A crash may lose a minute of it, a stop nothing. An empty journal has no
 * anchor. */
static bool is_mark_due(const struct keeper *k, bool at_once)
{
	uint64_t kept_s = k->anchor.clock_s + (at_once ? 0 : JT_MARK_KEEP_S);

	return k->feed.applied > 0 && k->mark.mark_s > kept_s;
}

void jt_keeper_anchor(struct keeper *k, bool at_once)
{
	/* Never back: while loading, `applied` is behind what it says. Reader
	 * and `applied` part company once something was skipped. */
	if (!jt_keeper_serves(k) || !jt_keeper_owns(k) || k->feed.denies_only ||
	    k->feed.applied < k->anchor.number ||
	    (k->feed.applied == k->anchor.number && !is_mark_due(k, at_once)))
		return;
	if (!k->anchor_due_ns)
		k->anchor_due_ns = k->now_ns + ANCHOR_NS;
	if (at_once || k->now_ns >= k->anchor_due_ns)
		write_anchor(k);
}

/* ---- use counts ---- */

/* None of this is a reason not to serve. */
static void restore_usage(struct keeper *k)
{
	const struct jt_journal *j = &k->feed.journal;
	uint64_t now_s = j->io->wall_ns() / NS_PER_S;
	/* a machine may have lost its clock since */
	uint64_t latest_s =
		now_s > k->anchor.clock_s ? now_s : k->anchor.clock_s;
	struct jt_restored r;
	int rc = jt_restore(&k->feed.ledger, j->io, j->dir_fd, j->id, latest_s,
			    &r);

	if (rc && rc != JT_USAGE_E_NONE)
		jt_log(JT_LOG_WARNING,
		       "use counts are not taken from %s/%s: %s; they begin at "
		       "0",
		       k->doors.paths.data, JT_USAGE_NAME, jt_usage_why(rc));
	if (r.n_damaged)
		jt_log(JT_LOG_WARNING,
		       "%llu entries of %s/%s are damaged; the counts of their "
		       "tokens begin at 0",
		       (unsigned long long)r.n_damaged, k->doors.paths.data,
		       JT_USAGE_NAME);
	k->restored = true;
}

/* Told once when it begins and once when it is over. */
static void watch_usage(struct keeper *k)
{
	bool was_well = !k->usage_why[0];
	int rc = k->crew.save_rc;

	k->usage_why[0] = '\0';
	if (rc)
		snprintf(k->usage_why, sizeof(k->usage_why),
			 "use counts cannot be saved (%s); new ones would be "
			 "lost at a restart; check the disk and the data "
			 "directory's permissions",
			 jt_usage_why(rc));
	else if (jt_crew_is_mute(&k->crew))
		snprintf(k->usage_why, sizeof(k->usage_why),
			 "use counts are not saved: the scribe keeps ending; "
			 "see the log");
	if (was_well && k->usage_why[0])
		jt_log(JT_LOG_ERROR, "%s", k->usage_why);
	else if (!was_well && !k->usage_why[0])
		jt_log(JT_LOG_NOTICE, "use counts are saved again");
}

static uint64_t save(void *ctx)
{
	struct keeper *k = ctx;

	return jt_crew_save(&k->crew);
}

static bool saved(void *ctx, uint64_t ticket, const char **whyp)
{
	struct keeper *k = ctx;
	bool done = jt_crew_saved(&k->crew, ticket);

	watch_usage(k);
	*whyp = k->usage_why[0] ? k->usage_why : NULL;
	return done;
}

/* ---- status ---- */

static bool any_worker_serves(const struct keeper *k)
{
	for (unsigned i = 0; i < k->crew.args.n_workers; i++)
		if (jt_load_seq(&k->maps.board[k->crew.args.first_desk + i]
					 .state) == JT_DESK_SERVING)
			return true;
	return false;
}

/* Also one that hangs at its desk is none: it beats once a tick. */
static bool any_worker_beats(const struct keeper *k)
{
	for (unsigned i = 0; i < k->crew.args.n_workers; i++) {
		const struct jt_desk *d =
			&k->maps.board[k->crew.args.first_desk + i];

		if (jt_load_seq(&d->state) == JT_DESK_SERVING &&
		    jt_load_seq(&d->beat_ns) + BEAT_NS > k->now_ns)
			return true;
	}
	return false;
}

static const char insecure[] =
	"insecure: started with --insecure-debug, so debuggers and core dumps "
	"can read tokens and workers may make any system call; start it "
	"without";

static const char *trouble(struct keeper *k)
{
	const char *why = jt_denials_trouble(&k->denials);

	if (why) /* it outlives what it came from */
		return why;
	if (k->feed.health != JT_HEALTH_OK)
		return k->feed.why;
	if (k->feed.journal.adopted)
		return "a commit slot of the journal is damaged; what it names "
		       "was taken from the chain and the next change repairs "
		       "it; check the disk";
	if (k->clerk.checked == JT_CLERK_BAD)
		return k->clerk.why;
	if (k->anchor_failed)
		return anchor_trouble;
	if (k->mark.why[0])
		return k->mark.why;
	if (k->growth.why[0])
		return k->growth.why;
	if (!any_worker_serves(k))
		return "no worker is serving";
	return k->box.insecure ? insecure : NULL;
}

static void status_json(void *ctx, char *buf, size_t max)
{
	struct keeper *k = ctx;

	jt_status_write(
		&(struct jt_status){
			.maps = &k->maps,
			.feed = &k->feed,
			.crew = &k->crew,
			.growth = &k->growth,
			.clerk = &k->clerk,
			.denials = &k->denials,
			.paths = &k->doors.paths,
			.settings = &k->settings,
			.why = trouble(k),
			.usage_why = k->usage_why,
			.settings_why = k->settings_why,
			.box = &k->box,
			.keeper_fds = k->teller.own_fds,
			.serving = jt_keeper_serves(k),
			.uptime_s = (boot_ns() - k->started_ns) / NS_PER_S,
		},
		buf, max);
}

/* ---- growth ---- */

static bool grow(void *ctx, const struct jt_room *want, struct jt_fault *faultp)
{
	struct keeper *k = ctx;

	if (jt_keeper_is_double(k)) {
		jt_heir_hurry(&k->heir);
		return true; /* ask again: the other one will be gone */
	}
	return jt_keeper_serves(k) && jt_growth_want(&k->growth, want, faultp);
}

/* All who have the table, or hand it out, are told in the same turn. */
static void tend_growth(struct keeper *k)
{
	struct jt_growth *g = &k->growth;
	enum jt_growth_event event =
		jt_growth_tend(g, k->now_ns, jt_crew_crossed(&k->crew));

	if (event == JT_GROWTH_SWAPPED) {
		jt_growth_keep(g, jt_crew_offer(&k->crew, g->fd));
		jt_attaches_change(&k->attaches, g->look);
		g->fd = g->look = -1;
		jt_news_move(&k->teller, &k->maps);
	}
	jt_news_growth(&k->teller, g->n_done,
		       jt_growth_busy(g) ? jt_growth_percent(g) + 1 : 0,
		       k->growth.capacity_max);
}

/* ---- settings, read again ---- */

static void publish(struct keeper *k, const struct jt_settings *settings)
{
	k->settings = *settings;
	jt_settings_publish(&k->maps, &k->settings);
}

/* All of the new ones, or all of the old. */
static void read_settings(struct keeper *k)
{
	static struct jt_config next;
	char names[128];

	if (jt_config_again(k->config, &next, k->settings_why)) {
		jt_log(JT_LOG_ERROR, "settings stay as they were: %s",
		       k->settings_why);
		return;
	}
	k->settings_why[0] = '\0';
	publish(k, &next.content.settings);
	jt_log(JT_LOG_NOTICE, "settings read from %s: %u policies, %u peers",
	       next.file[0] ? next.file : "no file", k->settings.n_policies,
	       k->settings.n_rules);
	jt_config_differ(k->config, &next, names, sizeof(names));
	if (names[0])
		jt_log(JT_LOG_WARNING,
		       "these settings differ now and hold only from the next "
		       "start on: %s",
		       names);
}

/*
 * RELOADING would make a manager that still waits for READY believe that
 * we were, so before serving it is read without a word.
 */
static void hang_up(struct keeper *k)
{
	k->hung_up = false;
	if (jt_keeper_serves(k))
		jt_service_reloading(&k->service);
	read_settings(k);
	if (jt_keeper_serves(k))
		jt_service_ready(&k->service);
}

/* ---- start ---- */

static int say(const struct jt_fault *fault, int rc, int status)
{
	jt_log(JT_LOG_ERROR, "%s",
	       fault->line[0] ? fault->line : strerror(rc < 0 ? -rc : EIO));
	return status;
}

static int open_journal(const char *data, struct jt_journal *j,
			struct jt_fault *faultp)
{
	int rc = jt_journal_open(j, &jt_io_os, data, faultp);

	if (rc != JT_JOURNAL_E_NONE)
		return rc;
	rc = jt_journal_create(&jt_io_os, data, "jt", faultp);
	if (rc && rc != JT_JOURNAL_E_EXISTS)
		return rc;
	faultp->line[0] = '\0';
	return jt_journal_open(j, &jt_io_os, data, faultp);
}

static int check_anchor(struct keeper *k, const struct jt_journal *j,
			struct jt_fault *faultp)
{
	int rc = jt_anchor_read(j->io, j->dir_fd, &k->anchor);

	if (rc == JT_ANCHOR_E_NONE) {
		memset(&k->anchor, 0, sizeof(k->anchor));
		return 0;
	}
	if (rc == JT_ANCHOR_E_DAMAGED) {
		snprintf(faultp->line, sizeof(faultp->line),
			 "%s/%s is damaged, so an older journal put back could "
			 "not be noticed; compare `jeton journal check` with "
			 "your last receipt, then run `jeton journal accept`",
			 k->doors.paths.data, JT_ANCHOR_NAME);
		return rc;
	}
	return rc ? rc : jt_anchor_check(j, &k->anchor, faultp);
}

static int block_signals(struct keeper *k)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR2);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file limit is an error, not an end */
	k->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return k->signals < 0 ? -errno : 0;
}

/*
 * Only a hint: without it commits are seen a tick later. The watch is on a
 * file, not on its name, so it is set again for each new one; that a file lost
 * its name is an attribute.
 */
static void watch_changes(struct keeper *k)
{
	char path[PATH_MAX + 32];

	if (k->changes < 0)
		k->changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	else if (k->watched == k->feed.files)
		return;
	snprintf(path, sizeof(path), "%s/%s", k->doors.paths.data,
		 JT_JOURNAL_NAME);
	if (k->changes < 0)
		return;
	if (k->watch >= 0)
		inotify_rm_watch(k->changes, k->watch);
	k->watch = inotify_add_watch(k->changes, path, IN_MODIFY | IN_ATTRIB);
	k->watched = k->feed.files;
}

static int hire(struct keeper *k, const struct jt_segment_fds *fds,
		struct jt_fault *faultp)
{
	unsigned connections = (unsigned)k->config->connections;
	struct jt_loop_size size = jt_worker_loop_size(
		connections + jt_worker_kept(connections), 0);
	struct jt_worker_args args = {
		.n_workers = (unsigned)k->config->workers,
		.n_http = (unsigned)k->config->http_workers,
		.connections_max = connections,
		.idle_s = (unsigned)k->config->idle_s,
		.spin_us = (unsigned)k->config->spin_us,
		.backend = jt_trial_choose(k->config->backend, &size),
		.log_refusals = k->config->log_refusals,
		.listener = k->doors.resp,
		.http = k->doors.http,
		.http_tcp = k->doors.http_tcp,
		.first_desk = k->heir.offer.desk,
		.waits = k->heir.phase != JT_HEIR_NONE,
		.queue = k->heir.queue,
		.serving_lock = k->doors.serving_lock,
		.segments = *fds,
		.started_ns = k->started_ns,
		.box = &k->box,
	};

	if (args.waits && args.n_workers + args.n_http > k->heir.offer.n_desks)
		return jt_fault_set(faultp, -EUSERS, 0, 0,
				    "beside the workers of the daemon before "
				    "there is room for %u; start with fewer "
				    "--workers",
				    k->heir.offer.n_desks);
	/* made there, and the same in all that the crew forks */
	k->box.wakes = k->crew.args.wakes;
	k->box.n_wakes = args.n_workers;
	return jt_crew_init(&k->crew, &args, &k->maps);
}

int jt_keeper_hire_scribe(struct keeper *k)
{
	/* its own: the feed closes a journal's when a newer file is there */
	const struct jt_journal *j = &k->feed.journal;
	int dir_fd = fcntl(j->dir_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

	if (dir_fd < 0)
		return -errno;
	jt_crew_keep_usage(&k->crew, j->io, dir_fd);
	return 0;
}

/* 0, or the exit status. */
static int open_doors(struct keeper *k)
{
	struct jt_fault fault = {0};
	struct jt_passed passed;
	const struct jt_doors_want want = {
		.passed = &passed,
		.http = k->config->http_workers > 0,
		.http_listen = k->config->http_listen,
	};
	int rc = jt_service_init(&k->service, &fault);

	if (!rc)
		rc = jt_service_sockets(&passed, &fault);
	if (rc)
		return say(&fault, rc, JT_EXIT_CONFIG);
	rc = jt_heir_begin(&k->heir, JT_VERSION, &fault);
	if (rc)
		return say(&fault, rc, JT_EXIT_OS);
	rc = k->heir.phase == JT_HEIR_NONE
		     ? jt_doors_open(&k->doors, &k->config->paths, &want,
				     &fault)
		     : jt_doors_inherit(&k->doors, &k->config->paths,
					k->heir.doors, k->heir.offer.passed,
					&want, &fault);
	if (rc)
		return say(&fault, rc, rc < 0 ? JT_EXIT_OS : JT_EXIT_CONFIG);
	return 0;
}

/* Who we are from now on; 0, or the exit status. */
static int be_somebody(struct keeper *k)
{
	struct jt_fault fault = {0};
	int rc;

	k->box = (struct jt_sandbox){
		.insecure = k->config->insecure_debug,
		.data = k->config->paths.data,
		.run = k->config->paths.run,
		.config = k->config->file,
		.keeper = getpid(),
	};
	jt_sandbox_hide(&k->box);
	rc = jt_user_take(k->config, &k->box, &fault);
	if (rc)
		return say(&fault, rc, JT_EXIT_CONFIG);
	jt_sandbox_hide(&k->box); /* another user is dumpable again */
	if (k->box.insecure)
		jt_log(JT_LOG_WARNING,
		       "--insecure-debug: tokens in memory can be read by "
		       "debuggers and core dumps, and workers may make any "
		       "system call; never with tokens that count");
	return 0;
}

/* What an admin may ask, and what comes of it. */
static void open_controls(struct keeper *k, int meters)
{
	jt_controls_init(&k->controls, k->doors.control, &k->feed, status_json,
			 k);
	jt_controls_saving(&k->controls, save, saved);
	jt_controls_growing(&k->controls, grow);
	jt_controls_upgrading(&k->controls, jt_keeper_others, jt_keeper_alone,
			      jt_keeper_upgrade, jt_keeper_upgraded);
	k->controls.closed = k->heir.phase != JT_HEIR_NONE;
	jt_controls_denying(&k->controls, &k->denials);
	jt_growth_init(&k->growth, &k->maps, &k->feed.ledger, meters,
		       jt_room_max(k->config), boot_ns, jt_memory_left);
	k->controls.hold_until_ns = jt_attaches_hold_until_ns(&k->attaches);
}

static int begin(struct keeper *k)
{
	struct jt_fault fault = {0};
	struct jt_segment_fds fds;
	struct jt_inherited *inherited = NULL;
	struct jt_journal journal;
	int rc = be_somebody(k);

	if (!rc)
		rc = open_doors(k);
	if (rc)
		return rc;
	if (k->heir.phase != JT_HEIR_NONE)
		inherited = &k->heir.inherited;
	rc = open_journal(k->doors.paths.data, &journal, &fault);
	if (rc)
		return say(&fault, rc, JT_EXIT_IO);
	rc = check_anchor(k, &journal, &fault);
	if (rc)
		return say(&fault, rc, JT_EXIT_IO);
	rc = jt_denials_init(&k->denials, &journal, k->doors.paths.data);
	if (rc)
		return say(&fault, rc, JT_EXIT_OS);
	/* what the slots name may be in the page cache only */
	rc = jt_journal_sync(&journal);
	if (rc) {
		snprintf(fault.line, sizeof(fault.line),
			 "%s/%s cannot be flushed (%s); check the disk, then "
			 "run `jeton journal rescue`",
			 k->doors.paths.data, JT_JOURNAL_NAME, strerror(-rc));
		return say(&fault, rc, JT_EXIT_IO);
	}
	rc = jt_outset_make(&(struct jt_outset){.config = k->config,
						.data = k->doors.paths.data,
						.feed = &k->feed,
						.maps = &k->maps,
						.clerk = &k->clerk,
						.inherited = inherited},
			    &journal, &fds, &fault);
	if (rc)
		return say(&fault, rc, JT_EXIT_OS);
	publish(k, &k->config->content.settings);
	rc = jt_attaches_init(&k->attaches, &k->doors, &k->maps, &fds,
			      &k->settings, boot_ns());
	if (!rc)
		rc = block_signals(k);
	/* before anybody is forked, who is to be inside */
	if (!rc)
		k->box.layers = jt_sandbox_enter(&k->box, JT_SANDBOX_KEEPER);
	k->clerk.box = &k->box;
	if (!rc)
		rc = hire(k, &fds, &fault);
	/* while another daemon serves it is that one's scribe who writes */
	if (!rc && !inherited)
		rc = jt_keeper_hire_scribe(k);
	k->now_ns = boot_ns();
	jt_mark_init(&k->mark, k->anchor.clock_s);
	watch_clock(k);
	if (!rc)
		jt_crew_tend(&k->crew, k->now_ns);
	if (rc)
		return say(&fault, rc, JT_EXIT_OS);
	jt_news_open(&k->teller, &k->maps, &k->feed.ledger, boot_ns,
		     jt_io_os.wall_ns() / NS_PER_S);
	watch_changes(k);
	open_controls(k, fds.meters);
	return 0;
}

/* ---- the loop ---- */

static void read_signals(struct keeper *k)
{
	struct signalfd_siginfo info;

	while (read(k->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			k->stopping = true;
		if (info.ssi_signo == SIGHUP)
			k->hung_up = true;
		if (info.ssi_signo == SIGUSR2)
			k->upgrade_asked = true;
	}
}

static void read_changes(struct keeper *k)
{
	char events[4096];

	while (k->changes >= 0 && read(k->changes, events, sizeof(events)) > 0)
		;
}

static void sleep_until_needed(struct keeper *k, unsigned ms)
{
	struct pollfd fds[JT_CONTROLS_MAX + 7];
	unsigned n = jt_controls_poll(&k->controls, fds);

	fds[n++] = (struct pollfd){.fd = k->signals, .events = POLLIN};
	if (!k->attaches.no_room && !k->attaches.closed)
		fds[n++] = (struct pollfd){.fd = k->doors.attach,
					   .events = POLLIN};
	if (k->changes >= 0)
		fds[n++] = (struct pollfd){.fd = k->changes, .events = POLLIN};
	if (k->heir.link >= 0)
		fds[n++] =
			(struct pollfd){.fd = k->heir.link, .events = POLLIN};
	if (k->upgrade.link >= 0)
		fds[n++] = (struct pollfd){.fd = k->upgrade.link,
					   .events = POLLIN};
	if (k->crew.link >= 0)
		fds[n++] =
			(struct pollfd){.fd = k->crew.link, .events = POLLIN};
	if (poll(fds, n, (int)ms) < 0 && errno != EINTR)
		jt_log(JT_LOG_ERROR, "poll: %s", strerror(errno));
}

/*
 * True once, when the replay has reached what was committed at start and there
 * is a worker to say so.
 */
static bool replayed(struct keeper *k)
{
	if (jt_keeper_serves(k) || k->feed.health != JT_HEALTH_OK)
		return false;
	/* what another daemon counts comes with the estate */
	if (!k->restored && k->heir.phase == JT_HEIR_NONE)
		restore_usage(k);
	if (!any_worker_serves(k) || !jt_keeper_succeeds(k) ||
	    jt_feed_settle(&k->feed))
		return false;
	jt_denials_apply(&k->denials, &k->feed.ledger);
	jt_news_count_all(&k->teller, jt_io_os.wall_ns() / NS_PER_S);
	/* pairs with the loads in jt_verify() and is_loading() */
	jt_store_release(&k->maps.identity_rw->state, JT_IDENTITY_SERVING);
	jt_keeper_succeeded(k);
	return true;
}

static void tell_news(struct keeper *k)
{
	jt_news_tell(&k->teller, k->feed.journal.committed.number,
		     trouble(k) != NULL);
	jt_news_figures(&k->teller, k->now_ns, &k->crew.figures);
	if (jt_keeper_serves(k))
		jt_news_count(&k->teller, k->now_ns,
			      jt_io_os.wall_ns() / NS_PER_S);
}

static void tell_serving(struct keeper *k)
{
	jt_log(JT_LOG_NOTICE,
	       "serving %llu tokens at journal number %llu with %u worker(s) "
	       "on %s/%s",
	       (unsigned long long)jt_load_relaxed(&k->maps.identity->tokens),
	       (unsigned long long)k->feed.applied, k->crew.args.n_workers,
	       k->doors.paths.run, JT_RESP_NAME);
	jt_service_ready(&k->service);
}

/* Relaxed: for people. */
static void tell_status(struct keeper *k)
{
	unsigned long long connections = 0;
	char text[128];

	if (k->service.fd < 0)
		return;
	for (unsigned i = 0; i < k->crew.n_hands; i++)
		connections += jt_load_relaxed(
			&k->maps.board[k->crew.args.first_desk + i]
				 .connections);
	snprintf(text, sizeof(text),
		 "%s; %llu tokens, journal number %llu of %llu, %llu "
		 "connections",
		 !jt_keeper_serves(k) ? "replaying the journal"
		 : trouble(k)	      ? "in trouble, see jeton status"
				      : "serving",
		 (unsigned long long)jt_load_relaxed(&k->maps.identity->tokens),
		 (unsigned long long)k->feed.applied,
		 (unsigned long long)k->feed.journal.committed.number,
		 connections);
	jt_service_status(&k->service, k->now_ns, text);
}

/* A record may be refused for what was believed before it. */
static void blame(const struct keeper *k)
{
	if (k->clerk.from)
		jt_log(JT_LOG_ERROR,
		       "this start was made from %s/%s; if `jeton journal "
		       "check` finds nothing, remove that file and start again",
		       k->doors.paths.data, JT_SNAPSHOT_NAME);
}

static int turn(struct keeper *k)
{
	bool more = jt_feed_step(&k->feed);
	unsigned due_ms = jt_crew_tend(&k->crew, k->now_ns);

	int status = jt_keeper_tend_upgrade(k);

	watch_usage(k);
	if (status)
		return status;
	watch_clock(k);
	if (k->crew.hopeless)
		return JT_EXIT_OS;
	if (!jt_keeper_serves(k) && k->feed.health == JT_HEALTH_LOST) {
		blame(k); /* the feed said why */
		return JT_EXIT_IO;
	}
	if (!jt_doors_ours(&k->doors)) {
		jt_log(JT_LOG_ALERT,
		       "%s/%s was removed or replaced, so another jetond could "
		       "serve the same journal; stopping",
		       k->doors.paths.data, JT_SERVING_NAME);
		return JT_EXIT_OS;
	}
	if (!more && replayed(k))
		tell_serving(k);
	tell_status(k);
	watch_changes(k);
	jt_attaches_run(&k->attaches, k->now_ns,
			jt_keeper_serves(k) && !k->feed.stuck);
	jt_controls_run(&k->controls, k->now_ns);
	if (jt_keeper_serves(k) && !jt_keeper_is_double(k)) {
		jt_denials_tend(&k->denials, &k->feed, k->now_ns);
		tend_growth(k);
	}
	jt_keeper_anchor(k, false);
	if (jt_keeper_serves(k) && jt_keeper_owns(k))
		jt_clerk_tend(&k->clerk, &k->feed, k->now_ns);
	tell_news(k);
	if (due_ms > TICK_MS)
		due_ms = TICK_MS;
	due_ms = jt_service_tend(&k->service, k->now_ns, any_worker_beats(k),
				 due_ms);
	if (jt_controls_waiting(&k->controls) || !jt_keeper_serves(k) ||
	    jt_growth_busy(&k->growth))
		due_ms = 1;
	sleep_until_needed(k, more ? 0 : due_ms);
	k->now_ns = boot_ns();
	read_signals(k);
	if (k->hung_up)
		hang_up(k);
	if (k->upgrade_asked) {
		const char *why; /* the log has it */

		k->upgrade_asked = false;
		(void)jt_keeper_upgrade(k, &why);
	}
	read_changes(k);
	return 0;
}

/* Whoever replaced our lock may write that file by now. */
static void save_last(struct keeper *k, bool was_serving)
{
	bool want = was_serving && jt_doors_ours(&k->doors);
	int rc = jt_crew_stop_scribe(&k->crew, want, SAVE_MS);

	if (rc)
		jt_log(JT_LOG_ERROR,
		       "the last use counts are not saved: %s; those of the "
		       "last seconds are lost",
		       rc == -ETIME ? "the scribe does not answer"
				    : jt_usage_why(rc));
}

static void end(struct keeper *k)
{
	bool was_serving;

	jt_keeper_stop_others(k);
	was_serving = jt_keeper_serves(k) && jt_keeper_owns(k);
	jt_service_stopping(&k->service);
	jt_crew_stop(&k->crew, STOP_MS);
	jt_keeper_anchor(k, true);
	jt_growth_stop(&k->growth);
	jt_attaches_retire(&k->attaches, boot_ns());
	save_last(k, was_serving);
	jt_controls_deinit(&k->controls);
	jt_clerk_deinit(&k->clerk);
	jt_denials_deinit(&k->denials);
	jt_feed_deinit(&k->feed);
	jt_segment_unmap(&k->maps);
}

int jt_keeper_run(const struct jt_config *config)
{
	static struct keeper k;
	int status;

	if (sodium_init() < 0)
		return JT_EXIT_OS;
	k.config = config;
	k.changes = k.watch = -1;
	jt_doors_init(&k.doors);
	jt_heir_init(&k.heir);
	jt_upgrade_init(&k.upgrade, config->argv);
	k.started_ns = boot_ns();
	status = begin(&k);
	if (!status) {
		while (!status && !k.stopping)
			status = turn(&k);
		end(&k);
	}
	jt_upgrade_goodbye(&k.upgrade, k.feed.applied);
	jt_doors_close(&k.doors);
	jt_heir_deinit(&k.heir);
	jt_service_deinit(&k.service);
	if (!status)
		jt_log(JT_LOG_NOTICE, "stopped");
	return status;
}
