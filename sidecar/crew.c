/*
 * crew: see crew.h.
 *
 * A child keeps only what it needs: its descriptors are a short sorted list,
 * and everything between is closed. It dies with the keeper
 * (PR_SET_PDEATHSIG, with the parent checked again after it was set), and holds
 * the serving lock's open file until then, so that no successor serves while
 * an orphan could still answer, or write the file that the successor reads.
 *
 * Each scribe gets a link of its own; tickets outlive it, and its successor is
 * asked again for those that were not answered.
 */
#include "sidecar/crew.h"

#include "sidecar/crossing.h"
#include "sidecar/http_worker.h"
#include "sidecar/log.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS 1000000ull
#define LONG_LIFE_NS (1000 * NS_PER_MS)
#define DELAY_MIN_NS (50 * NS_PER_MS)
#define DELAY_MAX_NS (5000 * NS_PER_MS)
#define IDLE_MS 60000u
#define LIVES_MAX 3u		     /* short ones in a row */
#define N_KEPT (6u + JT_WORKERS_MAX) /* HTTP workers keep fewer */

int jt_crew_init(struct jt_crew *crew, const struct jt_worker_args *args,
		 struct jt_maps *maps)
{
	memset(crew, 0, sizeof(*crew));
	crew->args = *args;
	crew->maps = maps;
	crew->link = crew->scribe.crossing = -1;
	for (unsigned i = 0; i < JT_WORKERS_MAX; i++)
		crew->hands[i].crossing = -1;
	crew->n_hands = args->n_workers + args->n_http;
	if (crew->n_hands > JT_WORKERS_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < args->n_workers; i++) {
		/* blocking: the ring waits; a wake that would block is spare */
		crew->args.wakes[i] = eventfd(0, EFD_CLOEXEC);
		if (crew->args.wakes[i] < 0)
			return -errno;
	}
	return 0;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Close everything above standard error but these, which are sorted here. */
static void close_others(int *kept, unsigned n)
{
	unsigned from = STDERR_FILENO + 1;

	qsort(kept, n, sizeof(kept[0]), by_number);
	for (unsigned i = 0; i < n; i++) {
		if ((unsigned)kept[i] > from)
			close_range(from, (unsigned)kept[i] - 1, 0);
		from = (unsigned)kept[i] + 1;
	}
	close_range(from, ~0u, 0);
}

static void keep_for_worker(const struct jt_worker_args *args)
{
	int kept[N_KEPT] = {args->listener, args->serving_lock, args->crossing,
			    args->segments.identity, args->segments.meters};
	unsigned n = 5;

	for (unsigned i = 0; i < args->n_workers; i++)
		kept[n++] = args->wakes[i];
	if (args->queue >= 0)
		kept[n++] = args->queue;
	close_others(kept, n);
}

static void keep_for_http(const struct jt_worker_args *args)
{
	int kept[N_KEPT] = {args->serving_lock, args->crossing,
			    args->segments.identity, args->segments.meters,
			    args->http};
	unsigned n = 5;

	if (args->http_tcp >= 0)
		kept[n++] = args->http_tcp;
	close_others(kept, n);
}

/* A ring could be had once: what is short now may be there again later. */
static bool has_served(const struct jt_crew *crew)
{
	for (unsigned i = 0; i < crew->args.n_workers; i++)
		/* relaxed: only ever grows */
		if (jt_load_relaxed(
			    &crew->maps->board[crew->args.first_desk + i]
				     .rounds))
			return true;
	return false;
}

/* The first steps of every child. */
static void be_born(pid_t keeper)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != keeper)
		_exit(1); /* it died before we could say that */
	sigemptyset(&none);
	signal(SIGINT, SIG_IGN); /* the keeper says when to stop */
	signal(SIGHUP, SIG_IGN);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void become_worker(struct jt_crew *crew, unsigned number,
				    pid_t keeper)
{
	be_born(keeper);
	crew->args.number = number;
	if (number >= crew->args.n_workers) {
		keep_for_http(&crew->args);
		exit(jt_http_run(&crew->args));
	}
	keep_for_worker(&crew->args);
	crew->args.first_crew = !has_served(crew);
	exit(jt_worker_run(&crew->args));
}

static _Noreturn void become_scribe(struct jt_crew *crew, int link,
				    pid_t keeper)
{
	struct jt_scribe_args *args = &crew->scribe_args;
	int kept[] = {
		args->dir_fd,	args->serving_lock,	 link,
		args->crossing, args->segments.identity, args->segments.meters};

	/* asked of a whole service at once, it is not for the scribe: what
	 * the workers still count must be written, too */
	signal(SIGTERM, SIG_IGN);
	be_born(keeper);
	close_others(kept, sizeof(kept) / sizeof(kept[0]));
	args->link = link;
	exit(jt_scribe_run(args));
}

/* ---- links over which a larger table comes ---- */

/* Both ends; *THEIRSP is to be closed once they have it. */
static int open_crossing(struct jt_hand *hand, int *theirsp)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	hand->crossing = ends[0];
	hand->owed = false; /* it is born with the newest */
	*theirsp = ends[1];
	return 0;
}

static void close_crossing(struct jt_hand *hand)
{
	if (hand->crossing >= 0)
		close(hand->crossing);
	hand->crossing = -1;
	hand->owed = false;
}

static void send_table(struct jt_crew *crew, struct jt_hand *hand)
{
	int rc;

	if (!hand->owed)
		return;
	rc = jt_crossing_send(hand->crossing, crew->args.segments.identity,
			      crew->maps->identity->number);
	/* sent, or it is dead; anything else may pass */
	hand->owed = rc && rc != -EPIPE && rc != -ECONNRESET;
}

static void send_tables(struct jt_crew *crew)
{
	for (unsigned i = 0; i < crew->n_hands; i++)
		send_table(crew, &crew->hands[i]);
	send_table(crew, &crew->scribe);
}

static void wake_all(const struct jt_crew *crew)
{
	uint64_t one = 1;

	for (unsigned i = 0; i < crew->args.n_workers; i++)
		/* who is not woken looks at its next tick */
		if (write(crew->args.wakes[i], &one, sizeof(one)) < 0)
			continue;
}

int jt_crew_offer(struct jt_crew *crew, int identity)
{
	int before = crew->args.segments.identity;

	crew->args.segments.identity = identity;
	crew->scribe_args.segments.identity = identity;
	for (unsigned i = 0; i < crew->n_hands; i++)
		crew->hands[i].owed = crew->hands[i].pid != 0;
	crew->scribe.owed = crew->scribe.pid != 0;
	send_tables(crew);
	wake_all(crew);
	return before;
}

bool jt_crew_dismiss(struct jt_crew *crew, int queue)
{
	bool all = true;

	for (unsigned i = 0; i < crew->args.n_workers; i++) {
		struct jt_hand *hand = &crew->hands[i];
		int rc;

		if (!hand->pid || hand->dismissed)
			continue;
		rc = jt_crossing_send(hand->crossing, queue, JT_OFFERED_LEAVE);
		hand->dismissed = !rc || rc == -EPIPE || rc == -ECONNRESET;
		all &= hand->dismissed;
	}
	wake_all(crew);
	return all;
}

bool jt_crew_is_gone(const struct jt_crew *crew)
{
	for (unsigned i = 0; i < crew->n_hands; i++)
		if (crew->hands[i].pid)
			return false;
	return true;
}

int jt_crew_pidfds(const struct jt_crew *crew, int *fds)
{
	int n = 0;

	for (unsigned i = 0; i < crew->n_hands; i++) {
		int fd;

		if (!crew->hands[i].pid)
			continue;
		fd = (int)syscall(SYS_pidfd_open, crew->hands[i].pid, 0);
		if (fd < 0) {
			int rc = -errno;

			while (n)
				close(fds[--n]);
			return rc;
		}
		fds[n++] = fd;
	}
	return n;
}

bool jt_crew_crossed(const struct jt_crew *crew)
{
	for (unsigned i = 0; i < crew->n_hands; i++)
		/* pairs with go_over() in crossing.c */
		if (crew->hands[i].pid &&
		    jt_load_seq(&crew->maps->board[crew->args.first_desk + i]
					 .table) !=
			    crew->maps->identity->number)
			return false;
	return true;
}

/* ---- workers ---- */

static void start(struct jt_crew *crew, unsigned number, uint64_t now_ns)
{
	struct jt_hand *hand = &crew->hands[number];
	struct jt_desk *desk =
		&crew->maps->board[crew->args.first_desk + number];
	pid_t keeper = getpid(), pid = -1;
	int theirs = -1, rc;

	jt_store_seq(&desk->kind, number < crew->args.n_workers ? JT_DESK_RESP
								: JT_DESK_HTTP);
	jt_store_seq(&desk->table, crew->maps->identity->number);
	jt_store_seq(&desk->state, JT_DESK_STARTING);
	rc = open_crossing(hand, &theirs);
	crew->args.crossing = theirs;
	if (!rc) {
		pid = fork();
		rc = pid < 0 ? -errno : 0;
	}
	if (pid == 0)
		become_worker(crew, number, keeper);
	if (theirs >= 0)
		close(theirs);
	if (rc) {
		jt_log(JT_LOG_ERROR, "cannot start worker %u: %s", number,
		       strerror(-rc));
		close_crossing(hand);
		hand->start_at_ns = now_ns + DELAY_MAX_NS;
		return;
	}
	hand->pid = pid;
	hand->dismissed = false;
	hand->started_ns = now_ns;
	jt_store_relaxed(&desk->pid, (uint64_t)pid); /* relaxed: for STATUS */
}

/* ---- the scribe ---- */

void jt_crew_keep_usage(struct jt_crew *crew, const struct jt_io *io,
			int dir_fd)
{
	crew->scribe_args = (struct jt_scribe_args){
		.io = io,
		.dir_fd = dir_fd,
		.serving_lock = crew->args.serving_lock,
		.segments = crew->args.segments,
		.box = crew->args.box,
	};
}

static void cut_link(struct jt_crew *crew)
{
	if (crew->link >= 0)
		close(crew->link);
	crew->link = -1;
}

/* A full link holds tickets enough. */
static void pass_on(struct jt_crew *crew)
{
	if (crew->link >= 0 && crew->asked > crew->answered &&
	    send(crew->link, &crew->asked, sizeof(crew->asked),
		 MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		errno = 0; /* its end will be noticed */
}

/* Our ends stand in the crew then, theirs in THEIRS. */
static int open_links(struct jt_crew *crew, int theirs[2])
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	crew->link = ends[0];
	theirs[0] = ends[1];
	return open_crossing(&crew->scribe, &theirs[1]);
}

static void start_scribe(struct jt_crew *crew, uint64_t now_ns)
{
	pid_t keeper = getpid(), pid = -1;
	int theirs[2] = {-1, -1};
	int rc = open_links(crew, theirs);

	crew->scribe_args.crossing = theirs[1];
	if (!rc) {
		pid = fork();
		rc = pid < 0 ? -errno : 0;
	}
	if (pid == 0)
		become_scribe(crew, theirs[0], keeper);
	for (unsigned i = 0; i < 2; i++)
		if (theirs[i] >= 0)
			close(theirs[i]);
	if (rc) {
		jt_log(JT_LOG_ERROR, "cannot start the scribe: %s",
		       strerror(-rc));
		cut_link(crew);
		close_crossing(&crew->scribe);
		crew->scribe.start_at_ns = now_ns + DELAY_MAX_NS;
		return;
	}
	crew->scribe.pid = pid;
	crew->scribe.started_ns = now_ns;
	crew->heard = false;
	pass_on(crew);
}

uint64_t jt_crew_save(struct jt_crew *crew)
{
	crew->asked++;
	pass_on(crew);
	return crew->asked;
}

static void hear(struct jt_crew *crew)
{
	struct jt_scribe_word word;

	while (crew->link >= 0 && recv(crew->link, &word, sizeof(word),
				       MSG_DONTWAIT) == (ssize_t)sizeof(word)) {
		crew->save_rc = word.rc;
		crew->heard = true;
		crew->figures = word.figures;
		crew->scribe_layers = word.layers;
		crew->figures.cpu_ns += crew->before_ns;
		if (word.ticket > crew->answered && word.ticket <= crew->asked)
			crew->answered = word.ticket;
	}
}

bool jt_crew_saved(struct jt_crew *crew, uint64_t ticket)
{
	hear(crew);
	return crew->answered >= ticket;
}

bool jt_crew_is_mute(const struct jt_crew *crew)
{
	return !crew->heard && crew->scribe.failures >= LIVES_MAX;
}

static bool scribe_left(struct jt_crew *crew)
{
	if (crew->scribe.pid && waitpid(crew->scribe.pid, NULL, WNOHANG) != 0)
		crew->scribe.pid = 0;
	return crew->scribe.pid != 0;
}

int jt_crew_stop_scribe(struct jt_crew *crew, bool save, unsigned wait_ms)
{
	uint64_t ticket = save && crew->scribe.pid ? jt_crew_save(crew) : 0;
	const struct timespec step = {.tv_nsec = 2 * (long)NS_PER_MS};
	int rc = 0;

	for (unsigned ms = 0; ticket && !jt_crew_saved(crew, ticket); ms += 2) {
		struct pollfd link = {.fd = crew->link, .events = POLLIN};

		if (ms >= wait_ms || !scribe_left(crew)) {
			rc = -ETIME;
			break;
		}
		poll(&link, 1, 2);
	}
	if (!rc && save)
		rc = ticket ? crew->save_rc : -ETIME;
	cut_link(crew);
	close_crossing(&crew->scribe);
	for (unsigned ms = 0; !rc && ms < wait_ms && scribe_left(crew); ms += 2)
		nanosleep(&step, NULL);
	if (crew->scribe.pid)
		kill(crew->scribe.pid, SIGKILL);
	for (unsigned ms = 0; ms < wait_ms && scribe_left(crew); ms += 2)
		nanosleep(&step, NULL);
	return rc;
}

/* ---- the dead ---- */

static void clear_desk(const struct jt_maps *maps, unsigned number)
{
	struct jt_desk *desk = &maps->board[number];

	/* pairs with the loads in has_too_many(), peers.c */
	for (unsigned i = 0; i < JT_PEERS_MAX; i++)
		jt_store_seq(
			&maps->calls[number * JT_PEERS_MAX + i].connections, 0);
	/* pairs with the loads of other workers that compare themselves */
	jt_store_seq(&desk->state, JT_DESK_FREE);
	jt_store_seq(&desk->connections, 0);
	jt_store_seq(&desk->paused, 0);
	/* relaxed: for STATUS and metrics. What it counted stays, its CPU time
	 * too: its successor goes on from there. */
	jt_store_relaxed(&desk->pid, 0);
	jt_store_relaxed(&desk->resident, 0);
	jt_store_relaxed(&desk->layers, 0);
	jt_store_relaxed(&desk->open_fds, 0);
}

/* When may its successor start? */
static void bury(struct jt_hand *hand, uint64_t now_ns)
{
	uint64_t delay_ns = 0;

	if (now_ns - hand->started_ns >= LONG_LIFE_NS)
		hand->failures = 0;
	else if (hand->failures++)
		delay_ns = DELAY_MIN_NS
			   << (hand->failures < 8 ? hand->failures : 8);
	if (delay_ns > DELAY_MAX_NS)
		delay_ns = DELAY_MAX_NS;
	hand->pid = 0;
	hand->start_at_ns = now_ns + delay_ns;
}

static const char sigsys[] =
	"was killed by signal 31 (SIGSYS): it made a system call that it never "
	"makes, so it was not itself, or a library is newer than this build; "
	"the kernel's log has the number";

static void tell_end(const char *who, int status)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		jt_log(JT_LOG_ERROR, "%s %s; starting another", who, sigsys);
	else if (WIFSIGNALED(status))
		jt_log(JT_LOG_WARNING,
		       "%s was killed by signal %d; starting another", who,
		       WTERMSIG(status));
	else
		jt_log(JT_LOG_WARNING,
		       "%s ended with status %d; starting another", who,
		       WEXITSTATUS(status));
}

static void worker_ended(struct jt_crew *crew, unsigned number, int status,
			 uint64_t now_ns)
{
	char who[32];

	clear_desk(crew->maps, crew->args.first_desk + number);
	close_crossing(&crew->hands[number]);
	if (WIFEXITED(status) && WEXITSTATUS(status) == JT_WORKER_NO_RING)
		crew->hopeless = !has_served(crew);
	bury(&crew->hands[number], now_ns);
	snprintf(who, sizeof(who), "%s %u",
		 number < crew->args.n_workers ? "worker" : "HTTP worker",
		 number);
	if (WIFSIGNALED(status) || (!crew->hopeless && !crew->leaving))
		tell_end(who, status);
}

static void scribe_ended(struct jt_crew *crew, int status, uint64_t now_ns)
{
	hear(crew);
	cut_link(crew);
	close_crossing(&crew->scribe);
	crew->before_ns = crew->figures.cpu_ns;
	crew->figures = (struct jt_figures){.cpu_ns = crew->before_ns};
	bury(&crew->scribe, now_ns);
	if (!crew->leaving)
		tell_end("the scribe", status);
}

static void reap(struct jt_crew *crew, uint64_t now_ns)
{
	int status;
	bool ours;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		ours = pid == crew->scribe.pid;
		if (ours)
			scribe_ended(crew, status, now_ns);
		if (pid == crew->successor) {
			crew->successor = 0;
			crew->successor_status = status;
		}
		for (unsigned i = 0; i < crew->n_hands; i++)
			if (crew->hands[i].pid == pid) {
				ours = true;
				worker_ended(crew, i, status, now_ns);
			}
		/* what became of its work the clerk tells */
		if (!ours && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
			jt_log(JT_LOG_ERROR, "the clerk's process %s", sigsys);
	}
}

/* Is that hand to be started now? Else *DUE_MSP is lowered to when it is. */
static bool is_due(const struct jt_hand *hand, uint64_t now_ns,
		   unsigned *due_msp)
{
	uint64_t ms;

	if (hand->pid)
		return false;
	if (now_ns >= hand->start_at_ns)
		return true;
	ms = (hand->start_at_ns - now_ns) / NS_PER_MS + 1;
	*due_msp = ms < *due_msp ? (unsigned)ms : *due_msp;
	return false;
}

unsigned jt_crew_tend(struct jt_crew *crew, uint64_t now_ns)
{
	unsigned due_ms = IDLE_MS;

	reap(crew, now_ns);
	if (crew->leaving)
		return due_ms;
	for (unsigned i = 0; i < crew->n_hands && !crew->hopeless; i++)
		if (is_due(&crew->hands[i], now_ns, &due_ms))
			start(crew, i, now_ns);
	if (crew->scribe_args.io && is_due(&crew->scribe, now_ns, &due_ms))
		start_scribe(crew, now_ns);
	hear(crew);
	send_tables(crew);
	return due_ms;
}

static void signal_all(const struct jt_crew *crew, int sig)
{
	for (unsigned i = 0; i < crew->n_hands; i++)
		if (crew->hands[i].pid)
			kill(crew->hands[i].pid, sig);
}

static bool any_left(struct jt_crew *crew)
{
	bool left = false;

	for (unsigned i = 0; i < crew->n_hands; i++) {
		pid_t pid = crew->hands[i].pid;

		if (!pid)
			continue;
		if (waitpid(pid, NULL, WNOHANG) == 0)
			left = true;
		else
			crew->hands[i].pid = 0;
	}
	return left;
}

void jt_crew_stop(struct jt_crew *crew, unsigned wait_ms)
{
	const struct timespec step = {.tv_nsec = 10 * (long)NS_PER_MS};

	signal_all(crew, SIGTERM);
	for (unsigned ms = 0; ms < wait_ms && any_left(crew); ms += 10)
		nanosleep(&step, NULL);
	signal_all(crew, SIGKILL);
	for (unsigned ms = 0; ms < wait_ms && any_left(crew); ms += 10)
		nanosleep(&step, NULL);
}
