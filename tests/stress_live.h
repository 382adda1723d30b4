/*
 * stress_live: a real jetond on temporary directories, and its clients.
 *
 * The binaries stand in $JETON_BIN, else one directory above this program. A
 * minder process owns the daemon: it starts it, kills a worker or the keeper
 * at random moments when told to (while `calm` is 0), starts the keeper's
 * successor, and stops it in the end. If anything here dies, what it started
 * dies with it.
 *
 * Clients are hiredis on R/jeton.sock: a real client of the Redis protocol.
 */
#ifndef JT_TESTS_STRESS_LIVE_H
#define JT_TESTS_STRESS_LIVE_H

#include "tests/stress.h"

#include "admin/control.h"
#include "shm/token.h"
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>

#define LIVE_START_NS (20 * STRESS_NS_PER_S)
#define LIVE_PAUSE_NS 60000000ull /* between two kills, and up to 6 x */
#define LIVE_STEP_NS 10000000ull
#define LIVE_REPLY_S 10
#define LIVE_LINES 20u
#define LIVE_ARGS_MAX 16u
#define LIVE_VERIFY "*2\r\n$6\r\nVERIFY\r\n$64\r\n"
#define LIVE_REQUEST (sizeof(LIVE_VERIFY) - 1 + JT_TOKEN_BYTES + 2)
#define LIVE_ELEMENTS 11u
#define LIVE_WORKERS "2"

extern char **environ;

enum live_kill {
	LIVE_KILL_NONE,
	LIVE_KILL_WORKER,
	LIVE_KILL_KEEPER
};

struct live_shared {
	_Atomic uint64_t stop, calm, kills, daemon, failed;
	_Atomic uint64_t grace_ns; /* more between two kills */
};

struct live {
	struct stress *s;
	enum live_kill kill;
	char bin[PATH_MAX], dir[64], data[80], run[80], log[80];
	char sock[104];
	pid_t minder;
	struct live_shared *shared;
};

/* ---- programs ---- */

static inline void live_find_bin(struct live *l, const char *argv0)
{
	const char *bin = getenv("JETON_BIN");
	char path[PATH_MAX + 16];

	if (bin)
		snprintf(path, sizeof(path), "%s", bin);
	else
		snprintf(path, sizeof(path), "%.*s..",
			 (int)(strrchr(argv0, '/')
				       ? strrchr(argv0, '/') + 1 - argv0
				       : 0),
			 argv0);
	if (!realpath(path, l->bin))
		stress_die(path, -errno);
	snprintf(path, sizeof(path), "%s/jetond", l->bin);
	if (access(path, X_OK))
		stress_die(path, -errno);
}

/* `jeton --data D --run R ARGS`: its exit status. OUT: NULL for nowhere. */
static inline int live_jeton(const struct live *l, const char *out,
			     const char *const *args)
{
	posix_spawn_file_actions_t files;
	char path[PATH_MAX + 8];
	const char *argv[LIVE_ARGS_MAX] = {path, "--data", l->data, "--run",
					   l->run};
	char *list[LIVE_ARGS_MAX];
	unsigned n = 5;
	int status, rc;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/jeton", l->bin);
	while (*args && n < LIVE_ARGS_MAX - 1)
		argv[n++] = *args++;
	memcpy(list, argv, sizeof(list)); /* posix_spawn takes no const */
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 1, out ? out : "/dev/null",
					 O_WRONLY | O_CREAT | O_APPEND, 0600);
	posix_spawn_file_actions_addopen(&files, 2, l->log,
					 O_WRONLY | O_CREAT | O_APPEND, 0600);
	rc = posix_spawn(&pid, path, &files, NULL, list, environ);
	posix_spawn_file_actions_destroy(&files);
	if (rc)
		stress_die(path, -rc);
	if (waitpid(pid, &status, 0) != pid)
		stress_die("waitpid", -errno);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256;
}

/* ---- the daemon ---- */

static inline void live_exec_daemon(const struct live *l)
{
	int log = open(l->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	char path[PATH_MAX + 8];

	snprintf(path, sizeof(path), "%s/jetond", l->bin);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	execl(path, path, "--data", l->data, "--run", l->run, "--workers",
	      LIVE_WORKERS, (char *)NULL);
	_exit(127);
}

static inline pid_t live_start_daemon(const struct live *l)
{
	pid_t pid = stress_fork();

	if (pid == 0)
		live_exec_daemon(l);
	jt_store_seq(&l->shared->daemon, (uint64_t)pid);
	return pid;
}

/* What the keeper says of itself; NULL: it does not answer. */
static inline json_t *live_status(const struct live *l)
{
	struct jt_control c = {.fd = -1};
	json_t *status = NULL;

	if (jt_control_connect(&c, l->data, 1000) == 0 &&
	    jt_control_status(&c) == 0)
		status = json_loads(c.line + 3, 0, NULL);
	jt_control_close(&c);
	return status;
}

static inline bool live_is_serving(const struct live *l)
{
	json_t *status = live_status(l), *w;
	unsigned serving = 0;
	size_t i;

	json_array_foreach(json_object_get(status, "workers"), i, w) serving +=
		strcmp(json_string_value(json_object_get(w, "state")),
		       "serving") == 0;
	json_decref(status);
	return serving == (unsigned)atoi(LIVE_WORKERS) + 1; /* HTTP, too */
}

static inline void live_kill_worker(const struct live *l, uint64_t *random)
{
	json_t *status = live_status(l), *workers, *w;
	pid_t pid = 0;

	workers = json_object_get(status, "workers");
	w = json_array_get(workers, stress_below(random, 2));
	if (w)
		pid = (pid_t)json_integer_value(json_object_get(w, "pid"));
	json_decref(status);
	if (pid <= 1 || kill(pid, SIGKILL))
		return;
	jt_add_relaxed(&l->shared->kills, 1); /* relaxed: statistics */
}

static inline pid_t live_kill_keeper(const struct live *l, pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	jt_add_relaxed(&l->shared->kills, 1); /* relaxed: statistics */
	return live_start_daemon(l);
}

/* Stop it as a service manager would; it must say goodbye with 0. */
static inline void live_stop_daemon(const struct live *l, pid_t pid)
{
	uint64_t until_ns = stress_now_ns() + LIVE_START_NS;
	int status = 0;

	kill(pid, SIGTERM);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (stress_now_ns() > until_ns)
			kill(pid, SIGKILL);
		stress_sleep_ns(LIVE_STEP_NS);
	}
	if (status)
		stress_fail(l->s, "jetond ended with status 0x%x",
			    (unsigned)status);
}

static inline void live_mind(const struct live *l)
{
	pid_t pid = live_start_daemon(l);
	uint64_t random = stress_mix(l->s->seed + 1), next_ns = 0;

	while (!jt_load_seq(&l->shared->stop)) {
		int status;

		stress_sleep_ns(LIVE_STEP_NS);
		if (waitpid(pid, &status, WNOHANG) == pid) {
			stress_fail(l->s, "jetond ended with status 0x%x",
				    (unsigned)status);
			jt_store_seq(&l->shared->failed, 1);
			return;
		}
		if (!next_ns && live_is_serving(l))
			next_ns = stress_now_ns();
		if (!next_ns || stress_now_ns() < next_ns ||
		    jt_load_seq(&l->shared->calm))
			continue;
		if (l->kill == LIVE_KILL_WORKER)
			live_kill_worker(l, &random);
		if (l->kill == LIVE_KILL_KEEPER)
			pid = live_kill_keeper(l, pid);
		next_ns = stress_now_ns() + LIVE_PAUSE_NS +
			  jt_load_seq(&l->shared->grace_ns) +
			  stress_below(&random, 5 * LIVE_PAUSE_NS);
	}
	live_stop_daemon(l, pid);
}

/* The last lines of it. */
static inline void live_print_log(const struct live *l)
{
	char lines[LIVE_LINES][256];
	FILE *f = fopen(l->log, "re");
	unsigned n = 0, i;

	while (f && fgets(lines[n % LIVE_LINES], sizeof(lines[0]), f))
		n++;
	for (i = n > LIVE_LINES ? n - LIVE_LINES : 0; i < n; i++)
		fprintf(stderr, "  %s", lines[i % LIVE_LINES]);
	if (f)
		fclose(f);
}

static inline void live_begin(struct live *l, struct stress *s,
			      const char *argv0, enum live_kill kill)
{
	uint64_t until_ns = stress_now_ns() + LIVE_START_NS;

	*l = (struct live){.s = s, .kill = kill};
	snprintf(l->dir, sizeof(l->dir), "%s/jt.XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	live_find_bin(l, argv0);
	/* the leak checker cannot attach to what is not dumpable */
	setenv("ASAN_OPTIONS", "detect_leaks=0", 0);
	signal(SIGPIPE, SIG_IGN); /* a killed worker's clients get EPIPE */
	if (!mkdtemp(l->dir))
		stress_die("mkdtemp", -errno);
	snprintf(l->data, sizeof(l->data), "%s/d", l->dir);
	snprintf(l->run, sizeof(l->run), "%s/r", l->dir);
	snprintf(l->log, sizeof(l->log), "%s/log", l->dir);
	snprintf(l->sock, sizeof(l->sock), "%s/jeton.sock", l->run);
	l->shared = stress_shared(sizeof(*l->shared));
	l->shared->calm = 1;
	l->minder = stress_fork();
	if (l->minder == 0) {
		live_mind(l);
		_exit(0);
	}
	while (!live_is_serving(l) && !jt_load_seq(&l->shared->failed)) {
		if (stress_now_ns() > until_ns)
			break;
		stress_sleep_ns(LIVE_STEP_NS);
	}
	if (live_is_serving(l))
		return;
	live_print_log(l);
	stress_die("jetond does not serve", 1);
}

/* Remove the directories; with failures show and keep them. */
static inline void live_end(struct live *l)
{
	char command[128];

	jt_store_seq(&l->shared->stop, 1);
	waitpid(l->minder, NULL, 0);
	if (jt_load_relaxed(&l->s->score->failures)) { /* all have ended */
		fprintf(stderr, "%s: log of %s:\n", l->s->name, l->dir);
		live_print_log(l);
		return;
	}
	snprintf(command, sizeof(command), "rm -rf %s", l->dir);
	if (system(command))
		fprintf(stderr, "%s: cannot remove %s\n", l->s->name, l->dir);
}

/* ---- clients ---- */

static inline void live_request(const char token[JT_TOKEN_BYTES],
				char out[LIVE_REQUEST])
{
	const size_t head = sizeof(LIVE_VERIFY) - 1;

	memcpy(out, LIVE_VERIFY, head);
	memcpy(out + head, token, JT_TOKEN_BYTES);
	memcpy(out + head + JT_TOKEN_BYTES, "\r\n", 2);
}

/* Connected, or NULL: nobody listens. */
static inline redisContext *live_connect(const struct live *l)
{
	const struct timeval wait = {.tv_sec = LIVE_REPLY_S};
	redisContext *c = redisConnectUnixWithTimeout(l->sock, wait);

	if (c && !c->err && redisSetTimeout(c, wait) == REDIS_OK)
		return c;
	if (c)
		redisFree(c);
	return NULL;
}

/* The verdict word of a reply; an error's text; NULL: not understood. */
static inline const char *live_word(const redisReply *r)
{
	if (r->type == REDIS_REPLY_ERROR)
		return r->str;
	if (r->type != REDIS_REPLY_ARRAY || r->elements != LIVE_ELEMENTS ||
	    r->element[0]->type != REDIS_REPLY_STRING)
		return NULL;
	return r->element[0]->str;
}

#endif
