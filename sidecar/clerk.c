/*
 * clerk: see clerk.h.
 *
 * When one is written: a start would have to replay more than 100,000 records,
 * and more than a quarter of the tokens that there are. So a start is short,
 * and all the replays for snapshots together cost a few times what the records
 * did. After a compaction none is of use, so all that the file holds counts.
 *
 * A check comes before a snapshot: what the start has not read is read first.
 * Nothing is written while the disk has little room left, for the journal comes
 * first. What fails is tried again later and later.
 */
#include "sidecar/clerk.h"

#include "sidecar/log.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull
#define BACKOFF_MIN_NS (30 * NS_PER_S)
#define BACKOFF_MAX_NS (3600 * NS_PER_S)
#define LINK_FD (STDERR_FILENO + 1)

/* What a child tells at its end. */
struct report {
	int32_t rc;
	uint32_t layers; /* sandbox.h */
	struct jt_snapshot_at at;
	struct jt_fault fault;
};

/*
 * The first to go when memory runs out: before the keeper, and with it all that
 * serves. The keeper may not write there any more once it serves, so it has its
 * own file open since before, and for the moment of the fork says it of itself:
 * a child has what its parent had. That file belongs to root while nobody may
 * look into us.
 */
static int open_expendable(void)
{
	int was = prctl(PR_GET_DUMPABLE), fd;

	prctl(PR_SET_DUMPABLE, 1);
	fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	prctl(PR_SET_DUMPABLE, was);
	return fd;
}

void jt_clerk_init(struct jt_clerk *c, const struct jt_io *io, const char *data,
		   bool on)
{
	*c = (struct jt_clerk){
		.io = io,
		.data = data,
		.on = on,
		.base.fd = -1,
		.link = -1,
		.expendable = open_expendable(),
		.backoff_ns = BACKOFF_MIN_NS,
	};
}

void jt_clerk_took(struct jt_clerk *c, struct jt_snapshot *s)
{
	c->io->close(s->fd);
	s->fd = -1;
	c->base = *s;
	c->from = true;
	c->number = s->h.number;
	c->generation = s->h.generation;
	c->written_s = s->h.written_s;
}

void jt_clerk_deinit(struct jt_clerk *c)
{
	if (c->link >= 0)
		close(c->link);
	c->link = -1;
	if (c->expendable >= 0)
		close(c->expendable);
	c->expendable = -1;
	if (c->from)
		jt_snapshot_close(&c->base);
}

bool jt_clerk_wants(const struct jt_clerk *c, const struct jt_journal *j,
		    uint64_t tokens)
{
	bool ours = c->number && c->generation == j->generation;
	uint64_t behind =
		ours ? j->committed.number - c->number : jt_journal_count(j);

	return behind > JT_CLERK_RECORDS && behind > tokens / 4;
}

const char *jt_clerk_word(const struct jt_clerk *c)
{
	static const char *const words[] = {
		[JT_CLERK_UNCHECKED] = "no",
		[JT_CLERK_RECORDS_HOLD] = "records",
		[JT_CLERK_SAME] = "yes",
		[JT_CLERK_BAD] = "damaged",
	};

	return words[c->checked];
}

/* ---- the child ---- */

/* Only what nobody else wants. None of it is needed, so none may fail us. */
static void step_back(void)
{
	const struct sched_param none = {0};

	setpriority(PRIO_PROCESS, 0, 19);
	sched_setscheduler(0, SCHED_IDLE, &none);
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
}

static pid_t fork_expendable(const struct jt_clerk *c)
{
	char was[16];
	ssize_t n = pread(c->expendable, was, sizeof(was), 0);
	bool said = n > 0 && pwrite(c->expendable, "1000", 4, 0) == 4;
	pid_t pid = fork();

	if (pid != 0 && said && pwrite(c->expendable, was, (size_t)n, 0) != n)
		jt_log(JT_LOG_WARNING,
		       "the keeper would be the first to go when memory runs "
		       "out: /proc/self/oom_score_adj could not be put back");
	return pid;
}

/* Of memory that others see it has no need; identity is not there at all. */
static void leave_meters(const struct jt_maps *maps)
{
	munmap(maps->meters, maps->meters_bytes);
}

static void be_born(pid_t keeper, int link)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != keeper)
		_exit(1); /* it died before we could say that */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (link != LINK_FD && dup2(link, LINK_FD) < 0)
		_exit(1);
	close_range(LINK_FD + 1, ~0u, 0);
	step_back();
}

static _Noreturn void work(const struct jt_clerk *c, enum jt_clerk_job job,
			   const struct jt_snapshot_want *want)
{
	struct report r = {0};

	r.layers = jt_sandbox_enter(c->box, JT_SANDBOX_CLERK);
	if (job == JT_CLERK_SAVE)
		r.rc = jt_snapshot_save(c->io, want, &r.at, &r.fault);
	else
		r.rc = jt_snapshot_recheck(c->io, c->data, &c->base.h,
					   c->base.blocks, true, &r.fault);
	/* smaller than what a pipe takes at once */
	_exit(write(LINK_FD, &r, sizeof(r)) != sizeof(r));
}

static void begin(struct jt_clerk *c, enum jt_clerk_job job,
		  const struct jt_maps *maps, uint64_t now_ns)
{
	const struct jt_snapshot_want want = {
		.data = c->data,
		.capacity = maps->capacity,
		.pool_bytes = maps->pool_bytes,
		.seed = maps->identity->seed,
		.rests = true,
	};
	pid_t keeper = getpid(), pid;
	int ends[2];

	c->due_ns = now_ns + c->backoff_ns; /* if it does not even begin */
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return;
	pid = fork_expendable(c);
	if (pid == 0) {
		be_born(keeper, ends[1]);
		leave_meters(maps);
		work(c, job, &want);
	}
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return;
	}
	/* the crew reaps it, as all children; its end of the pipe tells us */
	c->link = ends[0];
	c->pid = pid;
	c->job = job;
}

/* It makes no call any more once it was killed: nothing is renamed after it. A
 * number that the crew has reaped is none of a child of ours. */
void jt_clerk_stop(struct jt_clerk *c)
{
	const struct timespec step = {.tv_nsec = 2000000};

	if (c->job == JT_CLERK_IDLE)
		return;
	for (unsigned i = 0; i < 500 && !waitpid(c->pid, NULL, WNOHANG); i++) {
		kill(c->pid, SIGKILL);
		nanosleep(&step, NULL);
	}
	close(c->link);
	c->link = -1;
	c->job = JT_CLERK_IDLE;
}

/* ---- what it told ---- */

static void later(struct jt_clerk *c, uint64_t now_ns)
{
	c->due_ns = now_ns + c->backoff_ns;
	if (c->backoff_ns < BACKOFF_MAX_NS)
		c->backoff_ns *= 2;
}

static const char *words_of(const struct report *r)
{
	return r->fault.line[0] ? r->fault.line
	       : r->rc < 0	? strerror(-r->rc)
				: "see jeton-journal(5)";
}

static void saved(struct jt_clerk *c, const struct report *r, uint64_t now_ns)
{
	if (r->rc) {
		if (!c->told)
			jt_log(JT_LOG_WARNING,
			       "no snapshot was written: %s; starts stay slow "
			       "until one is",
			       words_of(r));
		c->told = true;
		later(c, now_ns);
		return;
	}
	c->told = false;
	c->backoff_ns = BACKOFF_MIN_NS;
	c->due_ns = now_ns;
	c->number = r->at.number;
	c->generation = r->at.generation;
	c->written_s = r->at.written_s;
	jt_log(JT_LOG_NOTICE, "snapshot written, up to record %llu",
	       (unsigned long long)c->number);
}

static void checked(struct jt_clerk *c, const struct report *r, uint64_t now_ns)
{
	switch (r->rc) {
	case 0:
		c->checked = JT_CLERK_SAME;
		break;
	case JT_SNAPSHOT_E_UNFIT: /* a compaction came between and read all */
	case JT_SNAPSHOT_E_MEMORY:
		c->checked = JT_CLERK_RECORDS_HOLD;
		break;
	case JT_SNAPSHOT_E_JOURNAL:
	case JT_SNAPSHOT_E_DIFFERS:
		c->checked = JT_CLERK_BAD;
		memcpy(c->why, r->fault.line, sizeof(c->why));
		jt_log(JT_LOG_ALERT, "health is red: %s", c->why);
		break;
	default:
		jt_log(JT_LOG_WARNING,
		       "the records before the snapshot could not be checked: "
		       "%s; trying again later",
		       words_of(r));
		later(c, now_ns);
		return;
	}
	c->backoff_ns = BACKOFF_MIN_NS;
	c->due_ns = now_ns;
	if (c->checked == JT_CLERK_SAME)
		jt_log(JT_LOG_NOTICE,
		       "the records before the snapshot were checked");
	jt_snapshot_close(&c->base); /* its header stays */
}

static void hear(struct jt_clerk *c, uint64_t now_ns)
{
	struct report r = {0};
	ssize_t n = c->link < 0 ? -1 : read(c->link, &r, sizeof(r));
	enum jt_clerk_job job = c->job;

	if (c->link < 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	if (n != (ssize_t)sizeof(r)) {
		r = (struct report){.rc = -ECHILD};
		jt_fault_set(&r.fault, -ECHILD, 0, 0,
			     "its process ended before it was done");
	}
	close(c->link);
	c->link = -1;
	c->job = JT_CLERK_IDLE;
	c->layers = r.layers;
	r.fault.line[sizeof(r.fault.line) - 1] = '\0';
	if (job == JT_CLERK_SAVE)
		saved(c, &r, now_ns);
	else
		checked(c, &r, now_ns);
}

/* Twice what it would take is free, and a twentieth of the disk stays so. */
static bool has_disk(const struct jt_clerk *c, const struct jt_maps *maps)
{
	uint64_t tokens = jt_load_relaxed(&maps->identity->tokens);
	uint64_t used = jt_load_relaxed(&maps->identity->pool_used);
	/* relaxed: the keeper's own words */
	uint64_t bytes = tokens * (JT_LINE + sizeof(struct jt_line)) +
			 maps->n_slots / 8 + used + (UINT64_C(16) << 20);
	struct statvfs fs;

	if (statvfs(c->data, &fs))
		return false;
	return fs.f_bavail * fs.f_frsize > 2 * bytes &&
	       fs.f_bavail * fs.f_frsize - bytes >
		       fs.f_blocks * fs.f_frsize / 20;
}

void jt_clerk_tend(struct jt_clerk *c, const struct jt_feed *feed,
		   uint64_t now_ns)
{
	/* relaxed: the keeper's own word */
	uint64_t tokens = jt_load_relaxed(&feed->maps->identity->tokens);

	hear(c, now_ns);
	if (c->job != JT_CLERK_IDLE || now_ns < c->due_ns ||
	    feed->health != JT_HEALTH_OK || c->checked == JT_CLERK_BAD)
		return;
	if (c->from && c->checked == JT_CLERK_UNCHECKED) {
		begin(c, JT_CLERK_CHECK, feed->maps, now_ns);
		return;
	}
	if (!c->on || !jt_clerk_wants(c, &feed->journal, tokens))
		return;
	/* what one that was killed has left takes the room of the next */
	(void)jt_io_unlink(c->io, feed->journal.dir_fd, JT_SNAPSHOT_NEW_NAME);
	if (has_disk(c, feed->maps))
		begin(c, JT_CLERK_SAVE, feed->maps, now_ns);
	else
		c->due_ns = now_ns + BACKOFF_MIN_NS;
}
