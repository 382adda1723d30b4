/*
 * loop: over a real ring, and over epoll: every operation ends exactly once,
 * whatever happens. What both must keep is one body, run for each.
 */
#include "sidecar/loop.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct jt_loop loop;
static enum jt_backend backend;
static int pair[2];
static char buf[4096];

static int init(struct jt_loop *l, unsigned inflight, unsigned held)
{
	struct jt_loop_size size = {.inflight = inflight, .held = held};

	return jt_loop_init(l, backend, &size);
}

static void start(enum jt_backend with)
{
	int rc;

	backend = with;
	rc = init(&loop, 100, 16);
	if (rc == -EPERM || rc == -ENOSYS)
		cr_skip_test("%s", jt_loop_why(rc));
	cr_assert_eq(rc, 0, "%s", jt_loop_why(rc));
	cr_assert_eq(jt_loop_backend(&loop), with);
	cr_assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
}

static void start_ring(void)
{
	start(JT_BACKEND_URING);
}

static void start_epoll(void)
{
	start(JT_BACKEND_EPOLL);
}

static void stop(void)
{
	jt_loop_deinit(&loop);
}

TestSuite(loop, .init = start_ring, .fini = stop);
TestSuite(loop_epoll, .init = start_epoll, .fini = stop);

#define Both(name, ...)                                                        \
	static void name(void);                                                \
	Test(loop, name, ##__VA_ARGS__)                                        \
	{                                                                      \
		name();                                                        \
	}                                                                      \
	Test(loop_epoll, name, ##__VA_ARGS__)                                  \
	{                                                                      \
		name();                                                        \
	}                                                                      \
	static void name(void)

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Wait until N operations have ended; more within a short time is a fault. */
static void collect(struct jt_event *events, unsigned n)
{
	struct jt_event extra[8];
	unsigned got = 0;

	for (unsigned tries = 0; got < n && tries < 200; tries++) {
		cr_assert_eq(jt_loop_wait(&loop, 50), 0);
		got += jt_loop_take(&loop, events + got, n - got);
	}
	cr_assert_eq(got, n, "%u of %u ended", got, n);
	cr_assert_eq(jt_loop_wait(&loop, 5), 0);
	cr_assert_eq(jt_loop_take(&loop, extra, 8), 0, "one ended twice");
}

static struct jt_event collect_one(void)
{
	struct jt_event e;

	collect(&e, 1);
	return e;
}

static void expect_nothing(void)
{
	struct jt_event e;

	cr_assert_eq(jt_loop_wait(&loop, 5), 0);
	cr_assert_eq(jt_loop_take(&loop, &e, 1), 0);
}

Both(user_data_goes_round)
{
	static const uint32_t slots[] = {0, 1, 0x7fffff, 0xffffff};
	static const uint32_t generations[] = {0, 1, 0x80000000, UINT32_MAX};

	for (unsigned s = 0; s < 4; s++) {
		for (unsigned g = 0; g < 4; g++) {
			struct jt_event e;

			jt_loop_send(
				&loop, pair[0], "x", 1,
				jt_user(slots[s], generations[g], JT_OP_SEND));
			e = collect_one();
			cr_expect_eq(e.slot, slots[s]);
			cr_expect_eq(e.generation, generations[g]);
			cr_expect_eq(e.op, JT_OP_SEND);
			cr_expect_eq(e.result, 1);
		}
	}
}

Both(slot_generation_and_operation_do_not_mix)
{
	cr_expect_eq(jt_user(0xffffff, 0, 0), 0xffffff0000000000ull);
	cr_expect_eq(jt_user(0, UINT32_MAX, 0), 0x000000ffffffff00ull);
	cr_expect_eq(jt_user(0, 0, JT_OP_READ), (uint64_t)JT_OP_READ);
	cr_expect_eq(jt_user(0x1000001, 0, JT_OP_RECV),
		     jt_user(1, 0, JT_OP_RECV), "24 bits of slot");
}

Both(receive_ends_when_bytes_come)
{
	struct jt_event e;

	jt_loop_recv(&loop, pair[0], buf, sizeof(buf), 1);
	expect_nothing();
	cr_assert_eq(write(pair[1], "hello", 5), 5);
	e = collect_one();
	cr_expect_eq(e.op, JT_OP_ACCEPT, "1, as was given");
	cr_expect_eq(e.result, 5);
	cr_expect_arr_eq(buf, "hello", 5);
	cr_assert_eq(write(pair[1], "more", 4), 4);
	expect_nothing(); /* not asked for */
	jt_loop_recv(&loop, pair[0], buf, sizeof(buf), 1);
	cr_expect_eq(collect_one().result, 4);
}

Both(wait_returns_at_its_timeout)
{
	double from = now_s();

	jt_loop_recv(&loop, pair[0], buf, sizeof(buf), 1);
	cr_assert_eq(jt_loop_wait(&loop, 50), 0);
	cr_expect_geq(now_s() - from, 0.045);
	cr_expect_lt(now_s() - from, 1.0);
	from = now_s();
	cr_assert_eq(jt_loop_wait(&loop, 0), 0);
	cr_expect_lt(now_s() - from, 0.5);
}

Both(closed_peer_ends_receive_with_0_and_send_with_epipe)
{
	struct jt_event e[2];

	jt_loop_recv(&loop, pair[0], buf, sizeof(buf), 1);
	expect_nothing();
	close(pair[1]);
	cr_expect_eq(collect_one().result, 0);
	jt_loop_send(&loop, pair[0], "x", 1, 2);
	jt_loop_recv(&loop, pair[0], buf, sizeof(buf), 3);
	collect(e, 2);
	for (unsigned i = 0; i < 2; i++)
		cr_expect_eq(e[i].result, e[i].op == 2 ? -EPIPE : 0,
			     "and no SIGPIPE");
}

Both(cancel_ends_itself_and_all_on_the_descriptor)
{
	static char big[4 << 20];
	struct jt_event e[3];
	unsigned seen = 0;

	jt_loop_recv(&loop, pair[0], buf, sizeof(buf),
		     jt_user(1, 1, JT_OP_RECV));
	jt_loop_send(&loop, pair[0], big, sizeof(big),
		     jt_user(1, 1, JT_OP_SEND));
	cr_assert_eq(jt_loop_wait(&loop, 5), 0);
	while (jt_loop_take(&loop, e, 1)) { /* a short send is an end, too */
		cr_assert_eq(e[0].op, JT_OP_SEND);
		jt_loop_send(&loop, pair[0], big, sizeof(big),
			     jt_user(1, 1, JT_OP_SEND));
		cr_assert_eq(jt_loop_wait(&loop, 5), 0);
	}
	jt_loop_cancel(&loop, pair[0], jt_user(1, 1, JT_OP_CANCEL));
	collect(e, 3);
	for (unsigned i = 0; i < 3; i++) {
		seen |= 1u << e[i].op;
		cr_expect_eq(e[i].slot, 1);
		if (e[i].op == JT_OP_CANCEL)
			cr_expect_geq(e[i].result, 0);
		else
			cr_expect_lt(e[i].result, 1);
	}
	cr_expect_eq(seen,
		     1u << JT_OP_RECV | 1u << JT_OP_SEND | 1u << JT_OP_CANCEL);
}

Both(cancel_of_nothing_ends, .timeout = 5)
{
	struct jt_event e;

	jt_loop_cancel(&loop, pair[0], 9);
	e = collect_one();
	cr_expect_leq(e.result, 0);
}

Both(cancel_leaves_other_descriptors_alone)
{
	struct jt_event e;
	int other[2];

	cr_assert(!socketpair(AF_UNIX, SOCK_STREAM, 0, other));
	jt_loop_recv(&loop, other[0], buf, sizeof(buf), 7);
	expect_nothing();
	jt_loop_cancel(&loop, pair[0], 9);
	e = collect_one();
	cr_expect_eq((int)e.op, 9);
	cr_assert_eq(write(other[1], "x", 1), 1);
	e = collect_one();
	cr_expect_eq((int)e.op, 7);
	cr_expect_eq(e.result, 1);
}

Both(shutdown_ends_a_receive)
{
	struct jt_event e[2];

	jt_loop_recv(&loop, pair[0], buf, sizeof(buf), JT_OP_RECV);
	expect_nothing();
	shutdown(pair[0], SHUT_RDWR);
	jt_loop_cancel(&loop, pair[0], JT_OP_CANCEL);
	collect(e, 2);
	cr_expect_neq((int)e[0].op, (int)e[1].op);
}

Both(wake_up_counter_is_read)
{
	uint64_t count = 0, three = 3;
	int fd = eventfd(0, EFD_CLOEXEC);

	jt_loop_read(&loop, fd, &count, sizeof(count), JT_OP_READ);
	expect_nothing();
	cr_assert_eq(write(fd, &three, 8), 8);
	cr_expect_eq(collect_one().result, 8);
	cr_expect_eq(count, 3);
}

Both(bad_descriptor_is_an_event_and_not_a_failure)
{
	struct jt_event e[3];

	jt_loop_recv(&loop, 4711, buf, 1, JT_OP_RECV);
	jt_loop_send(&loop, 4711, buf, 1, JT_OP_SEND);
	jt_loop_accept(&loop, 4711, JT_OP_ACCEPT);
	collect(e, 3);
	for (unsigned i = 0; i < 3; i++)
		cr_expect_eq(e[i].result, -EBADF);
}

static int listener(struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address->sun_path + 1, 100, "jeton-loop-%d", getpid());
	cr_assert(!bind(fd, (struct sockaddr *)address, sizeof(*address)));
	cr_assert(!listen(fd, 8));
	cr_assert_eq(jt_loop_listen(fd), 0);
	return fd;
}

Both(accept_gives_one_connection_each)
{
	struct sockaddr_un address;
	int fd = listener(&address), client;
	struct jt_event e;

	for (unsigned i = 0; i < 3; i++) {
		jt_loop_accept(&loop, fd, JT_OP_ACCEPT);
		expect_nothing();
		client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		cr_assert(!connect(client, (struct sockaddr *)&address,
				   sizeof(address)));
		e = collect_one();
		cr_assert_gt(e.result, 2);
		cr_assert_eq(write(client, "x", 1), 1);
		cr_expect_eq(read(e.result, buf, 1), 1);
	}
}

/* As two daemons may have one listener and different backends (handover.h). */
Both(accept_whose_client_another_one_took_neither_blocks_nor_fails,
     .timeout = 20)
{
	struct sockaddr_un address;
	int fd = listener(&address), client, theirs;
	struct jt_event e;

	for (unsigned i = 0; i < 3; i++) {
		jt_loop_accept(&loop, fd, JT_OP_ACCEPT);
		expect_nothing();
		client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		cr_assert(!connect(client, (struct sockaddr *)&address,
				   sizeof(address)));
		theirs = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		cr_assert_gt(theirs, 2);
		cr_assert_eq(jt_loop_wait(&loop, 20), 0);
		if (jt_loop_take(&loop, &e, 1)) {
			cr_expect_eq(e.result, -EAGAIN);
			jt_loop_accept(&loop, fd, JT_OP_ACCEPT);
		}
		cr_assert(!connect(socket(AF_UNIX, SOCK_STREAM, 0),
				   (struct sockaddr *)&address,
				   sizeof(address)));
		cr_expect_gt(collect_one().result, 2);
	}
}

Both(cancelled_accept_ends)
{
	struct sockaddr_un address;
	int fd = listener(&address);
	struct jt_event e[2];

	jt_loop_accept(&loop, fd, JT_OP_ACCEPT);
	expect_nothing();
	jt_loop_cancel(&loop, fd, JT_OP_CANCEL);
	collect(e, 2);
	for (unsigned i = 0; i < 2; i++)
		if (e[i].op == JT_OP_ACCEPT)
			cr_expect_eq(e[i].result, -ECANCELED);
}

#define MANY 3000u

/* Far more than the submission queue holds, asked for before any wait. */
Both(more_operations_than_entries_all_end_once, .timeout = 20)
{
	static struct jt_event events[MANY];
	static uint8_t seen[MANY];
	static uint64_t ones[MANY];
	int fd = eventfd(MANY, EFD_CLOEXEC | EFD_SEMAPHORE);
	struct jt_loop big;

	stop();
	cr_assert_eq(init(&big, MANY, 0), 0);
	loop = big;
	for (unsigned i = 0; i < MANY; i++)
		jt_loop_read(&loop, fd, &ones[i], 8,
			     jt_user(i, i * 7, JT_OP_READ));
	collect(events, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		cr_assert_lt(events[i].slot, MANY);
		cr_assert_eq(events[i].generation, events[i].slot * 7);
		cr_assert_eq(events[i].result, 8);
		cr_assert_eq(ones[i], 1);
		cr_assert_eq(seen[events[i].slot]++, 0, "twice");
	}
}

#define SOCKETS 700u

Both(more_sockets_waiting_than_entries, .timeout = 20)
{
	static struct jt_event events[2 * SOCKETS];
	static int fds[SOCKETS][2];
	unsigned received = 0, cancels = 0;
	struct jt_loop big;

	stop();
	cr_assert_eq(init(&big, 3 * SOCKETS, 0), 0);
	loop = big;
	for (unsigned i = 0; i < SOCKETS; i++) {
		cr_assert(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds[i]));
		jt_loop_recv(&loop, fds[i][0], &buf[i], 1,
			     jt_user(i, 0, JT_OP_RECV));
	}
	expect_nothing();
	for (unsigned i = 0; i < SOCKETS; i++) {
		if (i % 2)
			cr_assert_eq(write(fds[i][1], "x", 1), 1);
		jt_loop_cancel(&loop, fds[i][0], jt_user(i, 0, JT_OP_CANCEL));
	}
	collect(events, 2 * SOCKETS);
	for (unsigned i = 0; i < 2 * SOCKETS; i++) {
		cancels += events[i].op == JT_OP_CANCEL;
		received += events[i].op == JT_OP_RECV && events[i].result == 1;
	}
	cr_expect_eq(cancels, SOCKETS);
	cr_expect_leq(received, SOCKETS / 2);
}

Both(take_gives_as_many_as_asked_and_the_rest_later)
{
	struct jt_event e[10];
	unsigned n = 0;

	for (unsigned i = 0; i < 10; i++)
		jt_loop_send(&loop, pair[0], "x", 1, i);
	cr_assert_eq(jt_loop_wait(&loop, 50), 0);
	while (jt_loop_take(&loop, &e[n], 1)) {
		cr_assert_lt(n, 10);
		cr_expect_eq((unsigned)e[n].op, n);
		n++;
	}
	cr_expect_eq(n, 10);
}

Both(late_completion_bears_its_old_generation)
{
	struct jt_event e;

	jt_loop_recv(&loop, pair[0], buf, 1, jt_user(3, 8, JT_OP_RECV));
	expect_nothing();
	/* the slot's next tenant, on another descriptor */
	jt_loop_send(&loop, pair[1], "x", 1, jt_user(3, 9, JT_OP_SEND));
	for (unsigned i = 0; i < 2; i++) {
		cr_assert_eq(jt_loop_wait(&loop, 50), 0);
		while (jt_loop_take(&loop, &e, 1))
			cr_expect_eq(e.generation, e.op == JT_OP_RECV ? 8 : 9);
	}
}

Both(more_in_flight_than_a_ring_can_hold_is_refused)
{
	struct jt_loop big;

	cr_expect_eq(init(&big, 65537, 0), -E2BIG);
	cr_expect_eq(init(&big, UINT32_MAX, 0), -E2BIG);
}

Both(every_refusal_says_what_to_do)
{
	static const int errors[] = {EPERM,  ENOSYS, ENOMEM, EOPNOTSUPP,
				     EINVAL, EMFILE, ENFILE, EIO};

	for (unsigned i = 0; i < 8; i++) {
		const char *why = jt_loop_why(-errors[i]);

		cr_assert_not_null(why);
		cr_expect_gt(strlen(why), 20);
		cr_expect_null(strchr(why, '\n'));
	}
}

/* ---- held descriptors ---- */

static void expect_receives(int held, const char *text)
{
	struct jt_event e;

	jt_loop_recv(&loop, held, buf, sizeof(buf), jt_user(3, 0, JT_OP_RECV));
	cr_assert_eq(write(pair[1], text, strlen(text)), (ssize_t)strlen(text));
	e = collect_one();
	cr_assert_eq(e.result, (int)strlen(text));
	cr_assert_arr_eq(buf, text, strlen(text));
}

Both(a_held_descriptor_receives_and_sends)
{
	int held = jt_loop_hold(&loop, 3, pair[0]);
	char got[8];

	if (backend == JT_BACKEND_URING)
		cr_assert_lt(held, 0, "not held");
	expect_receives(held, "ping");
	jt_loop_send(&loop, held, "pong", 4, jt_user(3, 0, JT_OP_SEND));
	cr_assert_eq(collect_one().result, 4);
	cr_assert_eq(read(pair[1], got, sizeof(got)), 4);
}

Both(a_place_holds_the_next_descriptor_after_the_first_was_let_go)
{
	int first[2] = {pair[0], pair[1]};
	int held = jt_loop_hold(&loop, 3, pair[0]);

	expect_receives(held, "one");
	jt_loop_let(&loop, 3);
	cr_assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	held = jt_loop_hold(&loop, 3, pair[0]);
	cr_assert_eq(write(first[1], "late", 4), 4);
	expect_receives(held, "two");
}

Both(what_was_let_go_and_closed_is_closed_for_its_peer)
{
	char c;

	expect_receives(jt_loop_hold(&loop, 3, pair[0]), "x");
	jt_loop_let(&loop, 3);
	close(pair[0]);
	expect_nothing(); /* the ring may let go of it when it is entered */
	cr_expect_eq(read(pair[1], &c, 1), 0);
}

Both(a_held_descriptor_is_cancelled_by_its_own_number)
{
	int held = jt_loop_hold(&loop, 3, pair[0]);
	struct jt_event e[2];

	jt_loop_recv(&loop, held, buf, sizeof(buf), jt_user(3, 0, JT_OP_RECV));
	expect_nothing();
	jt_loop_cancel(&loop, pair[0], jt_user(3, 0, JT_OP_CANCEL));
	collect(e, 2);
	cr_expect_eq((e[0].op == JT_OP_RECV ? e[0] : e[1]).result, -ECANCELED);
}

Both(beyond_its_places_the_descriptor_itself_is_used)
{
	cr_expect_eq(jt_loop_hold(&loop, 16, pair[0]), pair[0]);
	expect_receives(jt_loop_hold(&loop, UINT32_MAX, pair[0]), "plain");
	jt_loop_let(&loop, 16);
}

Both(a_descriptor_that_cannot_be_held_is_used_itself)
{
	int bad = dup(pair[0]);

	close(bad);
	cr_expect_eq(jt_loop_hold(&loop, 3, bad), bad);
}

/* ---- looking on before sleeping ---- */

Both(who_looks_on_still_sleeps_and_still_hears)
{
	struct jt_loop_size size = {.inflight = 8, .spin_us = 500};
	struct jt_loop spinning;
	struct jt_event e;
	double begin;

	cr_assert_eq(jt_loop_init(&spinning, backend, &size), 0);
	begin = now_s();
	cr_expect_eq(jt_loop_wait(&spinning, 20), 0);
	cr_expect_geq(now_s() - begin, 0.019, "it slept to the end");
	jt_loop_recv(&spinning, pair[0], buf, sizeof(buf),
		     jt_user(1, 0, JT_OP_RECV));
	cr_assert_eq(jt_loop_wait(&spinning, 1), 0);
	cr_assert_eq(jt_loop_take(&spinning, &e, 1), 0);
	cr_assert_eq(write(pair[1], "x", 1), 1);
	cr_assert_eq(jt_loop_wait(&spinning, 1000), 0);
	cr_assert_eq(jt_loop_take(&spinning, &e, 1), 1);
	cr_expect_eq(e.result, 1);
	jt_loop_deinit(&spinning);
}

/* ---- what a ring may be asked ---- */

/* The process's only ring. */
static int ring_fd(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	char path[300], to[64];
	int fd = -1;

	cr_assert_not_null(dir);
	while ((entry = readdir(dir))) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
		n = readlink(path, to, sizeof(to) - 1);
		to[n > 0 ? n : 0] = '\0';
		if (strstr(to, "io_uring"))
			fd = atoi(entry->d_name);
	}
	closedir(dir);
	cr_assert_geq(fd, 0);
	return fd;
}

/* Another hand on the same ring, as whoever took over a worker would have. */
static void map_ring(struct io_uring *ring, int fd)
{
	struct io_uring_params p = {.flags = IORING_SETUP_CQSIZE |
					     IORING_SETUP_SINGLE_ISSUER |
					     IORING_SETUP_DEFER_TASKRUN,
				    .cq_entries = 1024};
	struct io_uring twin;

	/* its offsets are those of any ring of that size */
	cr_assert_eq(io_uring_queue_init_params(512, &twin, &p), 0);
	cr_assert_eq(io_uring_queue_mmap(fd, &p, ring), 0);
	io_uring_queue_exit(&twin);
}

static int result_of(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int rc = io_uring_submit(ring);

	if (rc < 0)
		return rc;
	cr_assert_eq(io_uring_wait_cqe(ring, &cqe), 0);
	rc = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return rc;
}

Test(loop, ring_refuses_what_no_worker_asks_for)
{
	struct io_uring ring;
	struct io_uring_sqe *sqe;

	if (!jt_loop_is_restricted(&loop))
		cr_skip_test("this kernel has no restrictions");
	map_ring(&ring, ring_fd());
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
	cr_expect_eq(result_of(&ring), -EACCES);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_socket(sqe, AF_INET, SOCK_STREAM, 0, 0);
	cr_expect_eq(result_of(&ring), -EACCES);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_write(sqe, pair[0], "x", 1, 0);
	cr_expect_eq(result_of(&ring), -EACCES, "it would go past seccomp");
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_recv(sqe, pair[0], buf, 1, 0);
	sqe->flags |= IOSQE_ASYNC;
	cr_expect_eq(result_of(&ring), -EACCES, "a flag");
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_send(sqe, pair[0], "x", 1, 0);
	cr_expect_eq(result_of(&ring), 1, "what workers ask for");
}

Test(loop, ring_refuses_to_register_what_no_worker_needs)
{
	struct iovec memory = {.iov_base = buf, .iov_len = sizeof(buf)};

	if (!jt_loop_is_restricted(&loop))
		cr_skip_test("this kernel has no restrictions");
	cr_expect_eq(syscall(SYS_io_uring_register, ring_fd(),
			     IORING_REGISTER_BUFFERS, &memory, 1),
		     -1);
	cr_expect_eq(errno, EACCES);
	cr_expect_eq(syscall(SYS_io_uring_register, ring_fd(),
			     IORING_UNREGISTER_FILES, NULL, 0),
		     -1);
	cr_expect_eq(errno, EACCES);
}

/* ---- epoll's own ---- */

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Whatever happens on descriptors that nobody waits for, it sleeps. */
static void expect_sleep(void)
{
	double cpu = cpu_s(), from = now_s();
	struct jt_event e;

	for (unsigned i = 0; i < 20; i++)
		cr_assert_eq(jt_loop_wait(&loop, 10), 0);
	cr_expect_eq(jt_loop_take(&loop, &e, 1), 0);
	cr_expect_geq(now_s() - from, 0.15);
	cr_expect_lt(cpu_s() - cpu, 0.05);
}

Both(bytes_that_nobody_asked_for_do_not_wake_it)
{
	jt_loop_recv(&loop, pair[0], buf, 1, JT_OP_RECV);
	cr_assert_eq(write(pair[1], "many", 4), 4);
	cr_assert_eq(collect_one().result, 1);
	expect_sleep();
	jt_loop_recv(&loop, pair[0], buf, 4, JT_OP_RECV);
	cr_expect_eq(collect_one().result, 3, "they are there all the same");
}

Both(peer_that_went_while_nobody_waited_does_not_wake_it)
{
	jt_loop_recv(&loop, pair[0], buf, 1, JT_OP_RECV);
	cr_assert_eq(write(pair[1], "x", 1), 1);
	cr_assert_eq(collect_one().result, 1);
	close(pair[1]);
	expect_sleep();
	jt_loop_recv(&loop, pair[0], buf, 4, JT_OP_RECV);
	cr_expect_eq(collect_one().result, 0);
}

Both(client_that_nobody_accepts_does_not_wake_it)
{
	struct sockaddr_un address;
	int fd = listener(&address), clients[2];

	for (unsigned i = 0; i < 2; i++)
		clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	jt_loop_accept(&loop, fd, JT_OP_ACCEPT);
	expect_nothing();
	for (unsigned i = 0; i < 2; i++)
		cr_assert(!connect(clients[i], (struct sockaddr *)&address,
				   sizeof(address)));
	cr_assert_gt(collect_one().result, 2);
	expect_sleep();
	jt_loop_accept(&loop, fd, JT_OP_ACCEPT);
	cr_assert_gt(collect_one().result, 2);
}

Both(number_of_a_closed_descriptor_is_used_again)
{
	int before[2] = {pair[0], pair[1]};

	for (unsigned i = 0; i < 50; i++) {
		struct jt_event e[2];

		jt_loop_recv(&loop, pair[0], buf, sizeof(buf), JT_OP_RECV);
		expect_nothing();
		jt_loop_cancel(&loop, pair[0], JT_OP_CANCEL);
		collect(e, 2);
		close(pair[0]);
		close(pair[1]);
		cr_assert(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
		cr_assert_eq(pair[0], before[0]);
		jt_loop_recv(&loop, pair[0], buf, sizeof(buf), JT_OP_RECV);
		cr_assert_eq(write(pair[1], "x", 1), 1);
		cr_assert_eq(collect_one().result, 1);
	}
}

Both(send_that_found_no_room_goes_on_when_there_is_some)
{
	static char big[1 << 20];
	struct jt_event e = {.result = 1};
	ssize_t n;

	while (e.result > 0) { /* fill it */
		ssize_t sent = send(pair[0], big, sizeof(big), MSG_DONTWAIT);

		e.result = sent > 0;
	}
	jt_loop_send(&loop, pair[0], "end", 3, JT_OP_SEND);
	expect_nothing();
	while ((n = recv(pair[1], big, sizeof(big), MSG_DONTWAIT)) > 0)
		;
	e = collect_one();
	cr_expect_eq(e.result, 3);
	cr_expect_eq(read(pair[1], big, sizeof(big)), 3);
	cr_expect_arr_eq(big, "end", 3);
}

Test(loop, automatic_is_the_ring_where_there_is_one)
{
	struct jt_loop_size size = {.inflight = 8};
	struct jt_loop l;

	cr_assert_eq(jt_loop_init(&l, JT_BACKEND_AUTO, &size), 0);
	cr_expect_eq(jt_loop_backend(&l), JT_BACKEND_URING);
	jt_loop_deinit(&l);
}

Test(loop_epoll, any_refusal_but_that_of_files_leaves_epoll)
{
	static const int refusals[] = {-EPERM,	-EACCES,     -ENOSYS,
				       -ENOMEM, -EOPNOTSUPP, -EINVAL};

	for (unsigned i = 0; i < 6; i++)
		cr_expect(jt_loop_is_refused(refusals[i]));
	cr_expect_not(jt_loop_is_refused(0));
	cr_expect_not(jt_loop_is_refused(-EMFILE));
	cr_expect_not(jt_loop_is_refused(-ENFILE));
	cr_expect_not(jt_loop_is_refused(-E2BIG));
}
