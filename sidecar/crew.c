/*
 * crew: see crew.h.
 *
 * A child keeps only what a worker needs: its descriptors are a short sorted
 * list, and everything between is closed. It dies with the keeper
 * (PR_SET_PDEATHSIG, with the parent checked again after it was set), and holds
 * the serving lock's open file until then, so that no successor serves while
 * an orphan could still answer.
 */
#include "sidecar/crew.h"

#include "sidecar/log.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS 1000000ull
#define LONG_LIFE_NS (1000 * NS_PER_MS)
#define DELAY_MIN_NS (50 * NS_PER_MS)
#define DELAY_MAX_NS (5000 * NS_PER_MS)
#define IDLE_MS 60000u
#define N_KEPT (4u + JT_WORKERS_MAX)

int jt_crew_init(struct jt_crew *crew, const struct jt_worker_args *args,
		 struct jt_maps *maps)
{
	memset(crew, 0, sizeof(*crew));
	crew->args = *args;
	crew->maps = maps;
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

/* Close everything above standard error but what a worker needs. */
static void close_others(const struct jt_worker_args *args)
{
	int kept[N_KEPT] = {args->listener, args->serving_lock,
			    args->segments.identity, args->segments.meters};
	unsigned n = 4, from = STDERR_FILENO + 1;

	for (unsigned i = 0; i < args->n_workers; i++)
		kept[n++] = args->wakes[i];
	qsort(kept, n, sizeof(kept[0]), by_number);
	for (unsigned i = 0; i < n; i++) {
		if ((unsigned)kept[i] > from)
			close_range(from, (unsigned)kept[i] - 1, 0);
		from = (unsigned)kept[i] + 1;
	}
	close_range(from, ~0u, 0);
}

/* A ring could be had once: what is short now may be there again later. */
static bool has_served(const struct jt_crew *crew)
{
	for (unsigned i = 0; i < crew->args.n_workers; i++)
		/* relaxed: only ever grows */
		if (jt_load_relaxed(&crew->maps->board[i].rounds))
			return true;
	return false;
}

static _Noreturn void become_worker(struct jt_crew *crew, unsigned number,
				    pid_t keeper)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != keeper)
		_exit(1); /* it died before we could say that */
	sigemptyset(&none);
	signal(SIGINT, SIG_IGN); /* the keeper says when to stop */
	signal(SIGHUP, SIG_IGN);
	sigprocmask(SIG_SETMASK, &none, NULL);
	close_others(&crew->args);
	crew->args.number = number;
	crew->args.first_crew = !has_served(crew);
	exit(jt_worker_run(&crew->args));
}

static void start(struct jt_crew *crew, unsigned number, uint64_t now_ns)
{
	struct jt_hand *hand = &crew->hands[number];
	struct jt_desk *desk = &crew->maps->board[number];
	pid_t keeper = getpid(), pid;

	jt_store_seq(&desk->state, JT_DESK_STARTING);
	pid = fork();
	if (pid == 0)
		become_worker(crew, number, keeper);
	if (pid < 0) {
		jt_log(JT_LOG_ERROR, "cannot start worker %u: %s", number,
		       strerror(errno));
		hand->start_at_ns = now_ns + DELAY_MAX_NS;
		return;
	}
	hand->pid = pid;
	hand->started_ns = now_ns;
	jt_store_relaxed(&desk->pid, (uint64_t)pid); /* relaxed: for STATUS */
}

static void clear_desk(struct jt_desk *desk)
{
	/* pairs with the loads of other workers that compare themselves */
	jt_store_seq(&desk->state, JT_DESK_FREE);
	jt_store_seq(&desk->connections, 0);
	jt_store_seq(&desk->paused, 0);
	jt_store_relaxed(&desk->pid, 0); /* relaxed: for STATUS */
}

static void ended(struct jt_crew *crew, unsigned number, int status,
		  uint64_t now_ns)
{
	struct jt_hand *hand = &crew->hands[number];
	uint64_t delay_ns = 0;

	clear_desk(&crew->maps->board[number]);
	if (WIFEXITED(status) && WEXITSTATUS(status) == JT_WORKER_NO_RING)
		crew->hopeless = !has_served(crew);
	if (now_ns - hand->started_ns >= LONG_LIFE_NS)
		hand->failures = 0;
	else if (hand->failures++)
		delay_ns = DELAY_MIN_NS
			   << (hand->failures < 8 ? hand->failures : 8);
	if (delay_ns > DELAY_MAX_NS)
		delay_ns = DELAY_MAX_NS;
	hand->pid = 0;
	hand->start_at_ns = now_ns + delay_ns;
	if (WIFSIGNALED(status))
		jt_log(JT_LOG_WARNING,
		       "worker %u was killed by signal %d; starting another",
		       number, WTERMSIG(status));
	else if (!crew->hopeless)
		jt_log(JT_LOG_WARNING,
		       "worker %u ended with status %d; starting another",
		       number, WEXITSTATUS(status));
}

static void reap(struct jt_crew *crew, uint64_t now_ns)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (unsigned i = 0; i < crew->args.n_workers; i++)
			if (crew->hands[i].pid == pid)
				ended(crew, i, status, now_ns);
}

unsigned jt_crew_tend(struct jt_crew *crew, uint64_t now_ns)
{
	unsigned due_ms = IDLE_MS;

	reap(crew, now_ns);
	for (unsigned i = 0; i < crew->args.n_workers && !crew->hopeless; i++) {
		struct jt_hand *hand = &crew->hands[i];
		uint64_t ms;

		if (hand->pid)
			continue;
		if (now_ns >= hand->start_at_ns) {
			start(crew, i, now_ns);
			continue;
		}
		ms = (hand->start_at_ns - now_ns) / NS_PER_MS + 1;
		due_ms = ms < due_ms ? (unsigned)ms : due_ms;
	}
	return due_ms;
}

static void signal_all(const struct jt_crew *crew, int sig)
{
	for (unsigned i = 0; i < crew->args.n_workers; i++)
		if (crew->hands[i].pid)
			kill(crew->hands[i].pid, sig);
}

static bool any_left(struct jt_crew *crew)
{
	bool left = false;

	for (unsigned i = 0; i < crew->args.n_workers; i++) {
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
