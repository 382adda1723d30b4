/*
 * stress_accept: a worker without descriptors neither spins nor forgets.
 *
 * The limit of open files of both workers is lowered to what they have open,
 * so that accepting fails at once (EMFILE, FAULTS.md: everybody has shipped the
 * loop that then takes a whole core). While clients wait in the queue the
 * workers must stay idle, and connections that they have must be served; once
 * the limit is back, the waiting clients must be served, too.
 */
#include "tests/stress_live.h"

#include <sys/resource.h>

#define WAITING 8u
#define SPIN_MS 100u /* of processor time a second that is still idle */

struct test {
	struct stress *s;
	struct live live;
	pid_t workers[2];
	struct rlimit limits[2];
};

/* Processor time of a process so far. */
static uint64_t used_ms(pid_t pid)
{
	unsigned long user, system, hz = (unsigned long)sysconf(_SC_CLK_TCK);
	char path[64], line[512], *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	f = fopen(path, "re");
	if (!f || !fgets(line, sizeof(line), f))
		stress_die(path, -errno);
	fclose(f);
	end = strrchr(line, ')');
	if (!end || sscanf(end + 1,
			   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u "
			   "%lu %lu",
			   &user, &system) != 2)
		stress_die(path, -EPROTO);
	return (user + system) * 1000 / hz;
}

static void find_workers(struct test *t)
{
	json_t *status = live_status(&t->live);
	json_t *workers = json_object_get(status, "workers");

	for (size_t i = 0; i < 2; i++) {
		json_t *w = json_array_get(workers, i);

		t->workers[i] =
			(pid_t)json_integer_value(json_object_get(w, "pid"));
		if (t->workers[i] <= 1 ||
		    prlimit(t->workers[i], RLIMIT_NOFILE, NULL, &t->limits[i]))
			stress_die("find the workers", 1);
	}
	json_decref(status);
}

static void limit(struct test *t, bool lowered)
{
	for (unsigned i = 0; i < 2; i++) {
		struct rlimit l = t->limits[i];

		if (lowered)
			l.rlim_cur = 3; /* standard streams: nothing more */
		if (prlimit(t->workers[i], RLIMIT_NOFILE, &l, NULL))
			stress_die("prlimit", -errno);
	}
}

static bool pings(redisContext *c)
{
	redisReply *r = redisCommand(c, "PING");
	bool pong = r && r->type == REDIS_REPLY_STATUS;

	freeReplyObject(r);
	return pong;
}

static void check(struct test *t, bool holds, const char *what)
{
	stress_count(t->s, 1);
	if (!holds)
		stress_fail(t->s, "%s", what);
}

static void watch(struct test *t)
{
	uint64_t before_ms = used_ms(t->workers[0]) + used_ms(t->workers[1]);
	uint64_t begun_ns = stress_now_ns(), ms, used;

	stress_sleep_ns(t->s->seconds * STRESS_NS_PER_S);
	ms = (stress_now_ns() - begun_ns) / 1000000;
	used = used_ms(t->workers[0]) + used_ms(t->workers[1]) - before_ms;
	printf("stress_accept: %" PRIu64 " ms of processor in %" PRIu64
	       " ms without descriptors\n",
	       used, ms);
	check(t, used * 1000 <= ms * SPIN_MS, "the workers spin");
}

int main(int argc, char **argv)
{
	struct test *t = stress_shared(sizeof(*t));
	redisContext *served, *waiting[WAITING];
	struct stress s;

	stress_begin(&s, "stress_accept", 2, argc, argv, NULL);
	t->s = &s;
	live_begin(&t->live, &s, argv[0], LIVE_KILL_NONE);
	find_workers(t);
	served = live_connect(&t->live);
	check(t, served && pings(served), "no worker serves");
	limit(t, true);
	for (unsigned i = 0; i < WAITING; i++) {
		waiting[i] = live_connect(&t->live);
		check(t, waiting[i] != NULL, "the queue takes no client");
	}
	watch(t);
	check(t, pings(served), "an old connection is not served any more");
	limit(t, false);
	for (unsigned i = 0; i < WAITING; i++) {
		check(t, waiting[i] && pings(waiting[i]),
		      "a client that waited is not served");
		if (waiting[i])
			redisFree(waiting[i]);
	}
	redisFree(served);
	live_end(&t->live);
	return stress_end(&s);
}
