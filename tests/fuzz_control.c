/*
 * fuzz_control: both ends of the control socket.
 *
 * First byte even: the rest is what an admin sends to the keeper, cut into
 * writes as that byte says. Each line gets one reply, in order, a printable
 * line that begins with OK or ERR; nothing else is said. Odd: the rest is what
 * somebody who says he is the keeper answers to the tool, which takes it for
 * what it is or refuses, and keeps nothing that a terminal would act on.
 */
#include "sidecar/control.h"
#include "tests/fuzz.h"

#include <errno.h>
#include <sodium.h>
#include <sys/socket.h>

#define INPUT_MAX 4096u
#define LINE_MAX_BYTES 255u

static struct jt_feed feed;
static struct jt_maps maps;
static struct jt_fault fault;

static void define(void)
{
	struct jt_record r[4] = {
		{.type = JT_REC_PLAN,
		 .plan = {.number = 1,
			  .rate = 5,
			  .period_ns = 1000000000,
			  .burst = 9,
			  .name = "plan"}},
		{.type = JT_REC_SCOPE, .scope = {.number = 1, .name = "a:b"}},
		{.type = JT_REC_SCOPES, .scopes = {.number = 1, .bits = {1}}},
		{.type = JT_REC_CREATE, .env = "live"},
	};
	struct jt_journal j;

	memcpy(r[3].token.id, "jt_live_0000000000000001", JT_ID_BYTES);
	memset(r[3].token.digest, 7, JT_DIGEST_BYTES);
	r[3].token.expires_s = 4000000000u;
	r[3].token.plan = 1;
	assert(!jt_journal_open_write(&j, &jt_io_os, fuzz_dir, 1000, &fault));
	assert(!jt_journal_append(&j, r, 4, &fault));
	jt_journal_close(&j);
}

int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	const struct jt_segment_size size = {
		.capacity = 16, .pool_bytes = 4096, .prefix = "jt"};
	struct jt_segment_fds fds;
	struct jt_journal j;

	assert(sodium_init() >= 0);
	fuzz_make_dir();
	assert(!jt_journal_create(&jt_io_os, fuzz_dir, "jt", &fault));
	define();
	assert(!jt_journal_open(&j, &jt_io_os, fuzz_dir, &fault));
	assert(!jt_segment_create(&size, j.id, &fds, &maps));
	assert(!jt_feed_init(&feed, fuzz_dir, &j, &maps));
	while (jt_feed_step(&feed))
		;
	assert(!jt_feed_settle(&feed));
	return 0;
}

/* ---- the keeper's end ---- */

static void status(void *ctx, char *buf, size_t max)
{
	snprintf(buf, max, "{}");
}

static uint64_t save(void *ctx)
{
	return 1;
}

static bool saved(void *ctx, uint64_t ticket, const char **whyp)
{
	assert(ticket == 1);
	return true;
}

struct talk {
	struct jt_controls keeper;
	int admin;
	uint64_t now_ns;
	char heard[1 << 20];
	size_t n_heard;
};

static void turn(struct talk *t)
{
	ssize_t n;

	jt_controls_run(&t->keeper, t->now_ns);
	while ((n = recv(t->admin, t->heard + t->n_heard,
			 sizeof(t->heard) - t->n_heard, MSG_DONTWAIT)) > 0)
		t->n_heard += (size_t)n;
}

/* A request that waits for a number that will not come is answered in time. */
static void finish(struct talk *t)
{
	for (unsigned i = 0; i < INPUT_MAX; i++) {
		size_t before = t->n_heard;

		if (t->keeper.clients[0].fd < 0)
			return;
		t->now_ns += JT_CONTROL_WAIT_NS + 1;
		turn(t);
		if (!t->keeper.clients[0].waiting && t->n_heard == before)
			return;
	}
	abort();
}

static size_t count(const char *text, size_t n, char c)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		found += text[i] == c;
	return found;
}

static void check_replies(const struct talk *t, const uint8_t *data,
			  size_t size)
{
	const char *at = t->heard, *end = t->heard + t->n_heard;
	size_t asked = count((const char *)data, size, '\n');

	assert(t->n_heard == 0 || end[-1] == '\n');
	/* one whose line was too long hears no more */
	assert(count(at, t->n_heard, '\n') <= asked);
	if (t->keeper.clients[0].fd >= 0)
		assert(count(at, t->n_heard, '\n') == asked);
	fuzz_check_plain(at, t->n_heard);
	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));

		assert(stop - at < JT_CONTROL_LINE);
		assert(!memcmp(at, "OK", 2) || !memcmp(at, "ERR ", 4));
		at = stop + 1;
	}
}

static void ask_keeper(const uint8_t *data, size_t size, unsigned piece)
{
	static struct talk t;
	size_t at = 0;
	int pair[2];

	assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			   0, pair));
	jt_controls_init(&t.keeper, -1, &feed, status, NULL);
	jt_controls_saving(&t.keeper, save, saved);
	t.keeper.clients[0].fd = pair[0];
	t.keeper.clients[0].since_ns = t.now_ns = 1000000000ull;
	t.admin = pair[1];
	t.n_heard = 0;
	while (at < size) {
		size_t n = size - at < piece ? size - at : piece;

		/* gone when its line was too long; or it waits, and no more
		 * fits between */
		if (send(t.admin, data + at, n, MSG_NOSIGNAL) != (ssize_t)n)
			break;
		at += n;
		turn(&t);
	}
	finish(&t);
	check_replies(&t, data, at);
	jt_controls_deinit(&t.keeper);
	close(t.admin);
}

/* ---- the tool's end ---- */

static int ask(struct jt_control *c, unsigned verb)
{
	static const struct jt_room room = {1, 1, 1, 1};
	static const struct jt_limit limit;
	static const uint8_t bits[32];
	static struct jt_top top;
	char name[JT_SCOPE_MAX] = "n";
	uint16_t number, next;
	struct jt_look l;
	uint64_t a, b;
	bool yes;
	int e;

	switch (verb) {
	case 0:
		return jt_control_sync(c, 5);
	case 1:
		return jt_control_limit(c, 1, &limit, &number, &next);
	case 2:
		return jt_control_plan(c, 1, name, &number, &yes);
	case 3:
		return jt_control_scope(c, 1, name, &number, &next);
	case 4:
		return jt_control_set(c, 1, bits, &number, &next);
	case 5:
		return jt_control_pair(c, 1, 1, 1, &yes);
	case 6:
		return jt_control_users(c, 1, 1, &a, &b);
	case 7:
		return jt_control_names(c, 1);
	case 8:
		return jt_control_look(c, "jt_live_0000000000000001", &l);
	case 9:
		return jt_control_save(c);
	case 10:
		return jt_control_status(c);
	case 11:
		e = jt_control_fit(c, 1, &room);
		return e == JT_CONTROL_E_GROWING ? 0 : e;
	default:
		e = jt_control_top(c, JT_TOP_ROWS, &top);
		assert(e || (top.n_used <= JT_TOP_ROWS &&
			     top.n_refused <= JT_TOP_ROWS));
		return e;
	}
}

static void answer_tool(const uint8_t *data, size_t size, unsigned verb)
{
	static struct jt_control c;
	int pair[2], e;

	assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	assert(send(pair[1], data, size, MSG_NOSIGNAL) == (ssize_t)size);
	shutdown(pair[1], SHUT_WR);
	c.fd = pair[0];
	c.timeout_ms = 2000;
	e = ask(&c, verb);
	assert(e >= 0 && e <= JT_CONTROL_E_GROWING);
	fuzz_check_plain(c.line, strnlen(c.line, sizeof(c.line)));
	assert(strnlen(c.line, sizeof(c.line)) < sizeof(c.line));
	if (!e)
		assert(!memcmp(c.line, "OK", 2));
	jt_control_close(&c);
	close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2 || size > INPUT_MAX)
		return 0;
	if (data[0] & 1)
		answer_tool(data + 1, size - 1, data[0] / 2 % 13);
	else
		ask_keeper(data + 1, size - 1, data[0] / 2 + 1);
	return 0;
}
