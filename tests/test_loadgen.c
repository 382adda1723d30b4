/* loadgen: what is sent is answered, counted and timed; a stall is not omitted.
 *
 * The server is a child that does what a test wants of it. */
#include "bench/loadgen.h"
#include "bench/ask.h"
#include "bench/floor.h"
#include "bench/machine.h"
#include "tests/help_table.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EACH 32u
#define N 4096u
#define REPLY "*2\r\n$5\r\nVALID\r\n:200\r\n"
#define REPLY_BYTES (sizeof(REPLY) - 1)
#define CONNECTIONS 4u

enum temper {
	PROMPT,
	STALLS,	   /* once, for STALL_MS, after STALL_AFTER requests */
	IN_PIECES, /* sends replies in pieces of 1 to 9 bytes */
	TALKS,	   /* sends a reply too many */
	CLOSES,	   /* after 100 requests */
};
#define STALL_MS 200
#define STALL_AFTER 200u

static char path[128];
static pid_t server;
static struct jt_loadgen *lg;
static struct jt_requests requests;
static struct jt_loadgen_result got;

static void pause_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

static void send_pieces(int fd, size_t replies)
{
	size_t bytes = replies * REPLY_BYTES, piece = 1;
	char all[64 * REPLY_BYTES];

	for (size_t i = 0; i < replies; i++)
		memcpy(all + i * REPLY_BYTES, REPLY, REPLY_BYTES);
	for (size_t at = 0; at < bytes; at += piece) {
		piece = piece % 9 + 1;
		if (piece > bytes - at)
			piece = bytes - at;
		if (send(fd, all + at, piece, MSG_NOSIGNAL) < 0)
			_exit(0);
	}
}

static void answer(int fd, size_t n, enum temper temper)
{
	static size_t answered;

	if (temper == IN_PIECES) {
		send_pieces(fd, n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		answered++;
		if (temper == STALLS && answered == STALL_AFTER)
			pause_ms(STALL_MS);
		if (temper == CLOSES && answered == 100)
			_exit(0);
		for (int k = 0; k < (temper == TALKS ? 2 : 1); k++)
			if (send(fd, REPLY, REPLY_BYTES, MSG_NOSIGNAL) < 0)
				_exit(0);
	}
}

static void serve(int listener, enum temper temper)
{
	struct pollfd fds[CONNECTIONS];
	size_t odd[CONNECTIONS] = {0};
	char in[64 * EACH];
	ssize_t n;

	for (unsigned i = 0; i < CONNECTIONS; i++)
		fds[i] = (struct pollfd){accept(listener, NULL, NULL), POLLIN,
					 0};
	while (poll(fds, CONNECTIONS, -1) > 0) {
		for (unsigned i = 0; i < CONNECTIONS; i++) {
			if (!fds[i].revents)
				continue;
			n = recv(fds[i].fd, in, sizeof(in), 0);
			if (n <= 0)
				_exit(0);
			odd[i] += (size_t)n;
			answer(fds[i].fd, odd[i] / EACH, temper);
			odd[i] %= EACH;
		}
	}
	_exit(0);
}

static void start(enum temper temper)
{
	char dir[64];
	int listener;

	help_dir(dir);
	snprintf(path, sizeof(path), "%s/s", dir);
	listener = jt_floor_listen(path);
	cr_assert_geq(listener, 0);
	server = fork();
	if (!server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(listener, temper);
	}
	close(listener);
	requests.n = N;
	requests.each_bytes = EACH;
	requests.bytes = calloc(N + JT_LOADGEN_PIPELINE_MAX, EACH);
	memset(&got, 0, sizeof(got));
	jt_scan_init(&got.scan, '$', "VALID");
	cr_assert_eq(jt_loadgen_open(path, CONNECTIONS, &lg), 0);
}

static void stop(void)
{
	jt_loadgen_close(lg);
	kill(server, SIGKILL);
	free(requests.bytes);
}

Test(loadgen, in_order_once_every_request_is_answered)
{
	start(PROMPT);
	jt_loadgen_start(lg, &requests, 7, JT_ORDER_ONCE, 0);
	cr_assert_eq(jt_loadgen_spin(lg, UINT64_MAX, &got), 0);
	cr_expect_eq(got.scan.replies, N);
	cr_expect_eq(got.scan.expected, N);
	cr_expect_eq(got.latency.n, N);
	stop();
}

Test(loadgen, replies_that_come_in_pieces_are_put_together)
{
	start(IN_PIECES);
	jt_loadgen_start(lg, &requests, 16, JT_ORDER_ONCE, 0);
	cr_assert_eq(jt_loadgen_spin(lg, UINT64_MAX, &got), 0);
	cr_expect_eq(got.scan.expected, N);
	cr_expect_eq(got.scan.bytes, N * REPLY_BYTES);
	stop();
}

Test(loadgen, a_closed_loop_goes_on_until_it_is_stopped)
{
	start(PROMPT);
	jt_loadgen_start(lg, &requests, 4, JT_ORDER_RANDOM, 1);
	cr_assert_eq(jt_loadgen_spin(lg, 20000000, &got), 0);
	cr_expect_gt(got.scan.replies, 0);
	cr_expect_geq(got.wall_ns, 20000000);
	cr_assert_eq(jt_loadgen_stop(lg, &got), 0);
	cr_expect_eq(got.scan.replies % 4, 0);
	stop();
}

Test(loadgen, a_reply_too_many_is_an_error)
{
	start(TALKS);
	jt_loadgen_start(lg, &requests, 1, JT_ORDER_RANDOM, 1);
	cr_expect_eq(jt_loadgen_spin(lg, 1000000000, &got), -EPROTO);
	stop();
}

Test(loadgen, a_server_that_goes_away_is_an_error)
{
	int r;

	start(CLOSES);
	jt_loadgen_start(lg, &requests, 1, JT_ORDER_RANDOM, 1);
	r = jt_loadgen_spin(lg, 5000000000, &got);
	cr_expect(r == -ECONNRESET || r == -EPIPE, "%d", r);
	stop();
}

/* ---- open loop ---- */

static int pace(double per_s, uint64_t ms)
{
	struct jt_schedule s;

	jt_schedule_init(&s, per_s, true, 1);
	return jt_loadgen_pace(lg, &requests, 2, &s, ms * 1000000, 1, &got);
}

Test(loadgen, an_open_loop_sends_as_many_as_its_schedule_has)
{
	start(PROMPT);
	cr_assert_eq(pace(1000, 300), 0);
	/* of batches of two, one each millisecond */
	cr_expect_float_eq((double)got.scan.replies, 600, 4);
	cr_expect_eq(got.latency.n, got.scan.replies);
	cr_expect_geq(got.wall_ns, 300000000);
	/* and it can be had again, and closed afterwards */
	cr_assert_eq(pace(1000, 50), 0);
	jt_loadgen_start(lg, &requests, 1, JT_ORDER_ONCE, 1);
	cr_assert_eq(jt_loadgen_spin(lg, UINT64_MAX, &got), 0);
	stop();
}

/*
 * Of 500 ms the server is away for 200: two fifths of the batches are meant to
 * leave meanwhile, and half of those wait for over 100 ms. A generator that
 * took the time from the sending would see as many as there are connections.
 */
Test(loadgen, what_a_stall_keeps_back_is_not_omitted)
{
	start(STALLS);
	cr_assert_eq(pace(1000, 500), 0);
	cr_expect_float_eq((double)got.scan.replies, 1000, 4);
	cr_expect_geq(jt_histogram_quantile_ns(&got.latency, 0.85), 90000000);
	cr_expect_geq(jt_histogram_quantile_ns(&got.latency, 0.999), 180000000);
	cr_expect_leq(jt_histogram_quantile_ns(&got.latency, 0.3), 50000000);
	stop();
}
