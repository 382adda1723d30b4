/*
 * process: see process.h.
 *
 * CPU time comes from the children's own CPU clocks (clock_getcpuclockid), not
 * from /proc/PID/stat: those count every nanosecond, these whole ticks.
 * Descendants are found in /proc/PID/task/TID/children, because a server may
 * do its work in a child of its own (jetond's worker).
 */
#include "bench/process.h"

#include "bench/machine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAMILY_MAX 256u
#define STOP_MS 5000
#define SHOWN_LOG 2048

static sigset_t stop_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	return set;
}

void jt_process_catch_signals(void)
{
	sigset_t set = stop_signals();

	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool jt_process_interrupted(void)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, SIGINT) || sigismember(&set, SIGTERM) ||
	       sigismember(&set, SIGHUP);
}

static void sleep_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* In the child, before anything else. */
static int settle(pid_t parent, int cpu, const char *log)
{
	sigset_t set = stop_signals();
	int fd, r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		return -ESRCH;
	setpgid(0, 0);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	signal(SIGPIPE, SIG_DFL);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	r = jt_machine_pin(cpu);
	if (r)
		fprintf(stderr, "cannot pin: %s\n", strerror(-r));
	return 0;
}

int jt_process_fork(struct jt_process *p, int cpu, const char *log,
		    int (*body)(void *arg), void *arg)
{
	pid_t parent = getpid(), pid;
	int r;

	snprintf(p->log, sizeof(p->log), "%s", log);
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		p->pid = pid;
		return 0;
	}
	r = settle(parent, cpu, log);
	if (!r)
		r = body(arg);
	fprintf(stderr, "%s\n", strerror(-r));
	_exit(1);
}

static int run_program(void *arg)
{
	char *const *argv = arg;

	execvp(argv[0], argv);
	fprintf(stderr, "%s: ", argv[0]);
	return -errno;
}

int jt_process_exec(struct jt_process *p, int cpu, const char *log,
		    const char *const argv[])
{
	const void *arg = argv;

	/* exec's prototype lacks two const that it honours */
	return jt_process_fork(p, cpu, log, run_program,
			       (void *)(uintptr_t)arg);
}

static int exit_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int jt_process_wait(struct jt_process *p, int *statusp)
{
	int status;
	pid_t r;

	while ((r = waitpid(p->pid, &status, WNOHANG)) == 0) {
		if (jt_process_interrupted())
			return -EINTR;
		sleep_ms(5);
	}
	if (r < 0)
		return -errno;
	p->pid = 0;
	*statusp = exit_status(status);
	return 0;
}

bool jt_process_alive(struct jt_process *p)
{
	int status;

	if (p->pid && waitpid(p->pid, &status, WNOHANG) == p->pid)
		p->pid = 0;
	return p->pid != 0;
}

/* Append the children of one thread to FAMILY. */
static unsigned add_children(const char *path, pid_t *family, unsigned n)
{
	FILE *f = fopen(path, "re");

	if (!f)
		return n;
	while (n < FAMILY_MAX && fscanf(f, "%d", &family[n]) == 1)
		n++;
	fclose(f);
	return n;
}

static unsigned add_family_of(pid_t pid, pid_t *family, unsigned n)
{
	char path[320];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	if (!d)
		return n;
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/children", pid,
			 e->d_name);
		n = add_children(path, family, n);
	}
	closedir(d);
	return n;
}

static uint64_t cpu_ns_of(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void jt_process_large_pages_of(pid_t pid, uint64_t *shared_bytesp,
			       uint64_t *own_bytesp)
{
	unsigned long long kb;
	char path[64], line[256];
	FILE *f;

	*shared_bytesp = *own_bytesp = 0;
	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "ShmemPmdMapped: %llu kB", &kb) == 1)
			*shared_bytesp = kb << 10;
		if (sscanf(line, "AnonHugePages: %llu kB", &kb) == 1)
			*own_bytesp = kb << 10;
	}
	if (f)
		fclose(f);
}

void jt_process_large_pages(const struct jt_process *p, uint64_t *shared_bytesp,
			    uint64_t *own_bytesp)
{
	pid_t family[FAMILY_MAX] = {p->pid};
	uint64_t shared, own;
	unsigned n = p->pid ? 1 : 0;

	*shared_bytesp = *own_bytesp = 0;
	for (unsigned i = 0; i < n; i++) {
		jt_process_large_pages_of(family[i], &shared, &own);
		if (shared > *shared_bytesp)
			*shared_bytesp = shared;
		if (own > *own_bytesp)
			*own_bytesp = own;
		n = add_family_of(family[i], family, n);
	}
}

uint64_t jt_process_cpu_ns(const struct jt_process *p)
{
	pid_t family[FAMILY_MAX] = {p->pid};
	uint64_t sum_ns = 0;
	unsigned n = 1;

	if (!p->pid)
		return 0;
	for (unsigned i = 0; i < n; i++) {
		sum_ns += cpu_ns_of(family[i]);
		n = add_family_of(family[i], family, n);
	}
	return sum_ns;
}

uint64_t jt_process_alone_cpu_ns(const struct jt_process *p)
{
	return p->pid ? cpu_ns_of(p->pid) : 0;
}

void jt_process_show_log(const struct jt_process *p)
{
	char text[SHOWN_LOG + 1];
	FILE *f = fopen(p->log, "re");
	size_t n;

	if (!f)
		return;
	if (fseek(f, -SHOWN_LOG, SEEK_END))
		rewind(f);
	n = fread(text, 1, SHOWN_LOG, f);
	text[n] = '\0';
	fclose(f);
	if (n)
		fprintf(stderr, "its last words:\n%s\n", text);
}

void jt_process_stop(struct jt_process *p)
{
	if (!p->pid)
		return;
	kill(p->pid, SIGTERM);
	for (int ms = 0; ms < STOP_MS && jt_process_alive(p); ms += 10)
		sleep_ms(10);
	if (!p->pid)
		return;
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	p->pid = 0;
}
