/*
 * lender: see lender.h.
 *
 * Putting one token after the other would wait for memory at each: so tokens
 * are made in groups, whose slots are asked for before the first is put.
 */
#include "bench/lender.h"

#include "bench/derived.h"
#include "bench/floor.h"
#include "bench/jeton.h"
#include "shm/attach.h"
#include "shm/table.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define GROUP 32u
#define TURN_MS 20
#define PLAN_USUAL 1u
#define PLAN_HOT 2u
#define PLAN_LIMITED 3u
#define HOT_BURST (1ull << 40)
#define LIFETIME_S (90u * 86400u)
#define NS_PER_S 1000000000ull
#define PATIENCE_TURNS 120000u

struct keeper {
	const struct jt_lender *lender;
	struct jt_segment_fds fds;
	struct jt_maps maps;
	int listener, lent; /* identity, opened for reading */
	uint8_t env;
	uint32_t owner, expires_s;
};

static uint64_t boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void put_plan(struct keeper *k, uint16_t plan, uint64_t interval_ns,
		     uint64_t burst)
{
	const struct jt_bounds bounds = {
		.interval_ns = interval_ns,
		.burst = burst,
	};

	jt_table_put_limits(&k->maps, plan, &bounds);
	jt_table_set_plan(&k->maps, plan, plan);
}

static int make_segments(struct keeper *k)
{
	static const uint8_t journal[16] = "no journal at al";
	const struct jt_segment_size size = {
		.capacity = k->lender->n + JT_LENDER_EXTRA,
		.pool_bytes = jt_segment_pool(k->lender->n + JT_LENDER_EXTRA),
		.prefix = "jt",
	};
	int r = jt_segment_create(&size, journal, &k->fds, &k->maps);

	if (r)
		return r < 0 ? r : -ENOMEM;
	put_plan(k, PLAN_USUAL, NS_PER_S / JT_JETON_RATE, JT_JETON_BURST);
	put_plan(k, PLAN_HOT, 1, HOT_BURST);
	put_plan(k, PLAN_LIMITED, NS_PER_S / JT_JETON_LIMITED_RATE,
		 JT_JETON_LIMITED_BURST);
	k->env = jt_table_env(&k->maps, jt_env_word("live", 4));
	k->expires_s = (uint32_t)time(NULL) + LIFETIME_S;
	r = jt_table_put_owner(&k->maps, (const uint8_t *)"bench", 5,
			       &k->owner);
	return r ? -ENOMEM : 0;
}

static uint16_t plan_of(const struct keeper *k, uint64_t i)
{
	if (i < k->lender->n)
		return PLAN_USUAL;
	return i == k->lender->n ? PLAN_HOT : PLAN_LIMITED;
}

static void make_entry(const struct keeper *k, uint64_t i, struct jt_entry *e)
{
	char token[JT_TOKEN_BYTES];

	jt_derived_token(k->lender->seed, i, token);
	*e = (struct jt_entry){
		.state = JT_SLOT_ACTIVE,
		.env = k->env,
		.plan = plan_of(k, i),
		.expires_s = k->expires_s,
		.owner = k->owner,
		.meter = (uint32_t)i,
	};
	memcpy(e->id, token, sizeof(e->id));
	jt_token_digest((const uint8_t *)token, e->digest);
	jt_table_prefetch(&k->maps,
			  jt_table_key(&k->maps, e->scheme, e->id, e->digest));
}

static int fill(struct keeper *k)
{
	uint64_t n = k->lender->n + JT_LENDER_EXTRA, many;
	struct jt_entry entries[GROUP];
	uint32_t slot;

	for (uint64_t i = 0; i < n; i += many) {
		many = n - i < GROUP ? n - i : GROUP;
		for (uint64_t j = 0; j < many; j++)
			make_entry(k, i + j, &entries[j]);
		for (uint64_t j = 0; j < many; j++)
			if (jt_table_put(&k->maps, &entries[j], &slot))
				return -ENOSPC;
		jt_count(&k->maps.identity_rw->tokens, many);
	}
	/* pairs with whoever verifies: all that was put before */
	jt_store_release(&k->maps.identity_rw->applied, n);
	jt_store_release(&k->maps.identity_rw->state, JT_IDENTITY_SERVING);
	return 0;
}

/* What sidecar/attach.c sends to one who may spend. */
static void greet(const struct keeper *k, int fd)
{
	const int fds[2] = {k->lent, k->fds.meters};
	struct jt_greeting greeting = {
		.magic = JT_ATTACH_MAGIC,
		.version = JT_LAYOUT_VERSION,
		.right = JT_ATTACH_SPEND,
	};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(fds))];
	} control = {0};
	struct iovec iov = {&greeting, sizeof(greeting)};
	const struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	if (sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		perror("sendmsg");
}

static int lend(struct keeper *k)
{
	struct pollfd door = {.fd = k->listener, .events = POLLIN};
	int fd;

	for (;;) {
		/* pairs with believes() in shm/jeton.c */
		jt_store_release(&k->maps.identity_rw->lease_ns,
				 boot_ns() + JT_LEASE_NS);
		if (poll(&door, 1, TURN_MS) < 0 && errno != EINTR)
			return -errno;
		if (!(door.revents & POLLIN))
			continue;
		fd = accept4(k->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		greet(k, fd);
		close(fd);
	}
}

static int run_keeper(void *arg)
{
	struct keeper k = {.lender = arg};
	char path[160];
	int r = sodium_init() < 0 ? -EIO : make_segments(&k);

	if (!r)
		r = fill(&k);
	if (r)
		return r;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", k.fds.identity);
	k.lent = open(path, O_RDONLY | O_CLOEXEC);
	if (k.lent < 0)
		return -errno;
	snprintf(path, sizeof(path), "%.80s/%s", k.lender->dir, JT_ATTACH_NAME);
	unlink(path);
	k.listener = jt_floor_listen(path);
	return k.listener < 0 ? k.listener : lend(&k);
}

int jt_lender_map(const struct jt_lender *l, struct jt_maps *maps)
{
	struct jt_segment_fds fds;
	enum jt_attach_right right;
	int fd, r = jt_attach_dial(l->dir, JT_ATTACH_NAME, &fd);

	if (r)
		return r;
	while ((r = jt_attach_take(fd, &fds, &right)) == -EAGAIN)
		poll(NULL, 0, 1);
	close(fd);
	if (r)
		return r < 0 ? r : -EPROTO;
	r = jt_segment_map(&fds, maps);
	close(fds.identity);
	close(fds.meters);
	return r > 0 ? -EPROTO : r;
}

int jt_lender_start(struct jt_lender *l, int cpu)
{
	struct jt_maps maps;
	char log[160];
	int r;

	snprintf(log, sizeof(log), "%.80s/lender.log", l->dir);
	r = jt_process_fork(&l->process, cpu, log, run_keeper, l);
	if (r)
		return r;
	for (unsigned i = 0; i < PATIENCE_TURNS; i++) {
		r = jt_lender_map(l, &maps);
		if (!r) {
			jt_segment_unmap(&maps);
			return 0;
		}
		if (!jt_process_alive(&l->process) || jt_process_interrupted())
			break;
		poll(NULL, 0, 5);
	}
	if (jt_process_interrupted())
		return -EINTR;
	fprintf(stderr,
		"jeton-bench: no table for %llu tokens; is there memory for "
		"it?\n",
		(unsigned long long)l->n);
	jt_process_show_log(&l->process);
	return -ENOMEM;
}

void jt_lender_stop(struct jt_lender *l)
{
	char path[160];

	jt_process_stop(&l->process);
	snprintf(path, sizeof(path), "%.80s/%s", l->dir, JT_ATTACH_NAME);
	unlink(path);
}
