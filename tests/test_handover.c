/* handover, usher, heir, upgrade: whatever the other one says, nothing is lost
 * but what it sent, and no descriptor stays open. */
#include "sidecar/heir.h"
#include "sidecar/upgrade.h"
#include "sidecar/usher.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int ours, theirs;
static unsigned open_before;

static unsigned count_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	cr_assert(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void start(void)
{
	int ends[2];

	cr_assert_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ours = ends[0];
	theirs = ends[1];
	open_before = count_open();
	help_quiet();
}

TestSuite(handover, .init = start);

static void expect_nothing_open(void)
{
	cr_expect_eq(count_open(), open_before, "%u, not %u", count_open(),
		     open_before);
}

/* N copies of a descriptor go along with these bytes. */
static void send_bytes(const void *bytes, size_t n, unsigned n_fds)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * (JT_HANDOVER_FDS + 8))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes, n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[JT_HANDOVER_FDS + 8];

	for (unsigned i = 0; i < n_fds; i++)
		fds[i] = STDERR_FILENO;
	if (n_fds) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * n_fds);
	}
	cr_assert_eq(sendmsg(theirs, &msg, MSG_NOSIGNAL), (ssize_t)n);
}

static void say(uint32_t kind, uint64_t number, unsigned n_fds)
{
	struct jt_handover_word word = {
		.kind = kind, .version = JT_HANDOVER_VERSION, .number = number};

	send_bytes(&word, sizeof(word), n_fds);
}

/* ---- words ---- */

Test(handover, word_and_descriptors_arrive_and_are_closed_on_exec)
{
	struct jt_handover_word word = {.kind = JT_HANDOVER_READY, .number = 7};
	int fds[JT_HANDOVER_FDS], all[JT_HANDOVER_FDS];
	unsigned n;

	cr_assert_eq(jt_handover_receive(ours, &word, fds, &n), -EAGAIN);
	for (unsigned i = 0; i < JT_HANDOVER_FDS; i++)
		all[i] = STDERR_FILENO;
	cr_assert_eq(jt_handover_send(theirs, &word, all, JT_HANDOVER_FDS), 0);
	memset(&word, 0, sizeof(word));
	cr_assert_eq(jt_handover_receive(ours, &word, fds, &n), 0);
	cr_expect_eq(word.number, 7);
	cr_assert_eq(n, JT_HANDOVER_FDS);
	for (unsigned i = 0; i < n; i++)
		cr_expect_eq(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
	jt_handover_close(fds, n);
	expect_nothing_open();
	close(theirs);
	cr_expect_eq(jt_handover_receive(ours, &word, fds, &n), -EPIPE);
	cr_expect_eq(jt_handover_send(ours, &word, NULL, 0), -EPIPE);
	cr_expect_eq(jt_handover_send(ours, &word, all, JT_HANDOVER_FDS + 1),
		     -EINVAL);
}

Test(handover, what_is_no_word_is_dropped_with_all_that_came_along)
{
	struct jt_handover_word word = {.version = JT_HANDOVER_VERSION}, got;
	char longer[sizeof(word) + 1] = {0};
	int fds[JT_HANDOVER_FDS];
	unsigned n;

	memcpy(longer, &word, sizeof(word));
	send_bytes(longer, sizeof(longer), 3);
	send_bytes(&word, sizeof(word) - 1, 3);
	send_bytes(&word, 1, 1);
	send_bytes(&word, sizeof(word), JT_HANDOVER_FDS + 8); /* cut off */
	word.version++;
	send_bytes(&word, sizeof(word), 5);
	for (unsigned i = 0; i < 5; i++) {
		cr_expect_eq(jt_handover_receive(ours, &got, fds, &n), -EPROTO,
			     "%u", i);
		cr_expect_eq(n, 0);
		expect_nothing_open();
	}
}

Test(handover, text_that_does_not_end_is_ended)
{
	struct jt_handover_word word = {.version = JT_HANDOVER_VERSION};
	int fds[JT_HANDOVER_FDS];
	unsigned n;

	memset(word.text, 'x', sizeof(word.text));
	send_bytes(&word, sizeof(word), 0);
	cr_assert_eq(jt_handover_receive(ours, &word, fds, &n), 0);
	cr_expect_eq(strlen(word.text), sizeof(word.text) - 1);
}

/* ---- the link that we were started with ---- */

static int link_of(const char *text)
{
	int fd;

	setenv(JT_HANDOVER_VARIABLE, text, 1);
	fd = jt_handover_link();
	cr_expect_null(getenv(JT_HANDOVER_VARIABLE), "%s", text);
	return fd;
}

Test(handover, environment_that_names_no_such_link_is_no_upgrade)
{
	static const char *const bad[] = {
		"",   "0",   "1",	 "2",	       "-1",
		"x",  "3x",  "99999",	 "4294967299", "99999999999999999999",
		"-3", "0x3", "\n3 ;rm *"};
	char text[16];
	int file = open("/dev/null", O_RDONLY | O_CLOEXEC), pair[2];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(link_of(bad[i]), -1, "%s", bad[i]);
	snprintf(text, sizeof(text), "%d", file);
	cr_expect_eq(link_of(text), -1, "a file");
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	snprintf(text, sizeof(text), "%d", pair[0]);
	cr_expect_eq(link_of(text), -1, "a stream");
	unsetenv(JT_HANDOVER_VARIABLE);
	cr_expect_eq(jt_handover_link(), -1);
	snprintf(text, sizeof(text), "%d", ours);
	fcntl(ours, F_SETFD, 0);
	cr_expect_eq(link_of(text), ours);
	cr_expect_eq(fcntl(ours, F_GETFD), FD_CLOEXEC);
}

/* ---- connections on their way ---- */

static struct jt_client client;

static void name_client(void)
{
	jt_client_init(&client, 42, 1000);
	client.proto = 3;
	strcpy(client.name, "billing");
	strcpy(client.lib_ver, "1.2");
}

Test(handover, connection_goes_over_with_what_its_client_said)
{
	struct jt_client got;
	bool greeted = false;
	int fd;

	name_client();
	cr_assert_eq(jt_usher_receive(ours, &got, &greeted), -EAGAIN);
	cr_assert_eq(jt_usher_send(theirs, STDERR_FILENO, &client, true), 0);
	fd = jt_usher_receive(ours, &got, &greeted);
	cr_assert_gt(fd, STDERR_FILENO);
	cr_expect(greeted);
	cr_expect_eq(memcmp(&got, &client, sizeof(got)), 0);
	cr_expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	close(theirs);
	cr_expect_eq(jt_usher_receive(ours, &got, &greeted), -EPIPE);
	cr_expect_eq(jt_usher_send(ours, STDERR_FILENO, &client, true), -EPIPE);
}

Test(handover, full_queue_takes_it_later_and_keeps_the_order)
{
	struct jt_client got;
	bool greeted;
	uint64_t n = 0;

	name_client();
	for (client.id = 0; n < 100000; client.id++, n++)
		if (jt_usher_send(theirs, STDERR_FILENO, &client, true))
			break;
	cr_assert_lt(n, 100000);
	cr_expect_eq(jt_usher_send(theirs, STDERR_FILENO, &client, true),
		     -EAGAIN);
	for (uint64_t i = 0; i < n; i++) {
		int fd = jt_usher_receive(ours, &got, &greeted);

		cr_assert_geq(fd, 0);
		cr_assert_eq(got.id, i);
		close(fd);
	}
	expect_nothing_open();
}

/* From a worker that is not itself any more. */
Test(handover, what_is_no_connection_is_dropped_and_its_descriptors_closed)
{
	struct jt_client got;
	unsigned char word[512];
	bool greeted;
	ssize_t n;

	name_client();
	cr_assert_eq(jt_usher_send(theirs, STDERR_FILENO, &client, true), 0);
	n = recv(ours, word, sizeof(word), 0);
	cr_assert_gt(n, 24);
	open_before = count_open();
	send_bytes(word, (size_t)n, 0);
	send_bytes(word, (size_t)n, 2); /* as many as padding has room for */
	send_bytes(word, (size_t)n, 9);
	send_bytes(word, (size_t)n - 1, 1);
	send_bytes(word, 1, 1);
	for (size_t at = 0; at < 6; at++) { /* magic, version, protocol */
		word[at] ^= 0x40;
		send_bytes(word, (size_t)n, 1);
		word[at] ^= 0x40;
	}
	word[24] = '\n'; /* its name, as others are shown it */
	send_bytes(word, (size_t)n, 1);
	memset(word + 24, 'a', (size_t)n - 24);
	send_bytes(word, (size_t)n, 1);
	for (unsigned i = 0; i < 13; i++) {
		cr_expect_eq(jt_usher_receive(ours, &got, &greeted), -EPROTO,
			     "%u", i);
		expect_nothing_open();
	}
	cr_expect_eq(jt_usher_receive(ours, &got, &greeted), -EAGAIN);
}

/* ---- the newer one ---- */

static struct jt_heir heir;

static int begin_heir(void)
{
	struct jt_fault fault = {0};
	char text[16];
	int rc;

	snprintf(text, sizeof(text), "%d", ours);
	setenv(JT_HANDOVER_VARIABLE, text, 1);
	jt_heir_init(&heir);
	rc = jt_heir_begin(&heir, "1.0", &fault);
	cr_expect_eq(rc != 0, fault.line[0] != '\0');
	return rc;
}

static void offer(uint32_t have, unsigned n_fds)
{
	struct jt_handover_word word = {.kind = JT_HANDOVER_OFFER,
					.version = JT_HANDOVER_VERSION,
					.have = have};

	send_bytes(&word, sizeof(word), n_fds);
}

#define DOORS                                                                  \
	(1u << JT_DOOR_SERVING_LOCK | 1u << JT_DOOR_RUN_LOCK |                 \
	 1u << JT_DOOR_METERS)

Test(handover, offer_that_lacks_what_it_names_is_refused)
{
	static const struct {
		uint32_t have;
		unsigned n;
	} bad[] = {{0, 0},
		   {DOORS, 2},
		   {DOORS, 4},
		   {DOORS & ~(1u << JT_DOOR_METERS), 2},
		   {DOORS & ~(1u << JT_DOOR_SERVING_LOCK), 2},
		   {DOORS & ~(1u << JT_DOOR_RUN_LOCK), 2},
		   {~0u, JT_DOORS_N - 1},
		   {0xffffff00u, 3}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		offer(bad[i].have, bad[i].n);
		cr_expect_neq(begin_heir(), 0, "%zu", i);
	}
	say(JT_HANDOVER_ESTATE, 1, 3);
	cr_expect_neq(begin_heir(), 0);
	close(theirs);
	cr_expect_neq(begin_heir(), 0);
}

Test(handover, estate_is_taken_once_and_only_when_it_was_asked_for)
{
	offer(DOORS, 3);
	cr_assert_eq(begin_heir(), 0);
	cr_expect_eq(jt_heir_theirs(&heir), UINT64_MAX);
	open_before = count_open();
	say(JT_HANDOVER_ESTATE, 5, 3); /* it is not ready */
	cr_expect_eq(jt_heir_tend(&heir, 1), JT_HEIR_GOES_ON);
	cr_expect_eq(heir.phase, JT_HEIR_LEARNS);
	expect_nothing_open();
	cr_assert_eq(jt_heir_ready(&heir, 5), 0);
	open_before = count_open();
	say(JT_HANDOVER_ESTATE, 6, 0); /* nothing in it */
	cr_expect_eq(jt_heir_tend(&heir, 1), JT_HEIR_GOES_ON);
	cr_expect_eq(heir.phase, JT_HEIR_READY);
	say(JT_HANDOVER_ESTATE, 7, 2);
	say(JT_HANDOVER_ESTATE, 6, 2); /* once more, and number back */
	cr_expect_eq(jt_heir_tend(&heir, 1), JT_HEIR_GOES_ON);
	cr_expect_eq(heir.phase, JT_HEIR_GIVEN);
	cr_expect_eq(jt_heir_theirs(&heir), 7);
	cr_expect_eq(count_open(), open_before + 2);
}

Test(handover, older_one_that_dies_takes_it_along_until_the_estate_is_there)
{
	jt_heir_init(&heir);
	heir.link = ours;
	heir.theirs = 3;
	close(theirs);
	for (unsigned phase = JT_HEIR_LEARNS; phase < JT_HEIR_GIVEN; phase++) {
		heir.phase = (enum jt_heir_phase)phase;
		cr_expect_eq(jt_heir_tend(&heir, 3), JT_HEIR_GAVE_UP, "%u",
			     phase);
	}
	heir.phase = JT_HEIR_GIVEN;
	cr_expect_eq(jt_heir_tend(&heir, 3), JT_HEIR_GOES_ON);
	cr_expect_eq(jt_heir_theirs(&heir), 3, "its workers may be there");
	jt_heir_serves(&heir, 3);
	cr_expect_eq(jt_heir_tend(&heir, 3), JT_HEIR_ALONE);
}

/* Workers of the older one may answer a moment longer than it. */
Test(handover, older_one_is_gone_with_the_last_of_its_workers)
{
	int pipes[2];

	cr_assert_eq(pipe2(pipes, O_CLOEXEC), 0);
	jt_heir_init(&heir);
	heir.link = ours;
	heir.phase = JT_HEIR_SERVES;
	heir.theirs = 9;
	heir.pidfds[0] = pipes[0]; /* readable at its end, like a process */
	heir.n_pidfds = 1;
	say(JT_HANDOVER_APPLIED, 11, 0);
	cr_expect_eq(jt_heir_tend(&heir, 12), JT_HEIR_GOES_ON);
	cr_expect_eq(jt_heir_theirs(&heir), 11);
	close(theirs);
	for (unsigned i = 0; i < 3; i++)
		cr_expect_eq(jt_heir_tend(&heir, 12), JT_HEIR_GOES_ON);
	cr_expect_eq(jt_heir_theirs(&heir), 11, "whoever asks waits");
	cr_assert_eq(write(pipes[1], "", 1), 1);
	cr_expect_eq(jt_heir_tend(&heir, 12), JT_HEIR_ALONE);
	cr_expect_eq(jt_heir_theirs(&heir), UINT64_MAX);
}

Test(handover, it_asks_for_room_once_and_not_before_it_serves)
{
	struct jt_handover_word word;
	int fds[JT_HANDOVER_FDS];
	unsigned n;

	jt_heir_init(&heir);
	heir.link = ours;
	heir.phase = JT_HEIR_GIVEN;
	jt_heir_hurry(&heir);
	cr_expect_eq(jt_handover_receive(theirs, &word, fds, &n), -EAGAIN);
	heir.phase = JT_HEIR_SERVES;
	jt_heir_hurry(&heir);
	jt_heir_hurry(&heir);
	cr_expect_eq(jt_handover_receive(theirs, &word, fds, &n), 0);
	cr_expect_eq(word.kind, JT_HANDOVER_HURRY);
	cr_expect_eq(jt_handover_receive(theirs, &word, fds, &n), -EAGAIN);
}

/* ---- the older one ---- */

static struct jt_upgrade up;

static enum jt_upgrade_event tend(void)
{
	return jt_upgrade_tend(&up, 1, 0, 3, 1000);
}

static void start_upgrade(enum jt_upgrade_phase phase)
{
	static char name[] = "jetond", *argv[] = {name, NULL};

	jt_upgrade_init(&up, argv);
	up.link = ours;
	up.phase = phase;
	up.deadline_ns = UINT64_MAX;
}

Test(handover, newer_one_that_speaks_out_of_turn_changes_nothing)
{
	for (unsigned phase = JT_UPGRADE_STARTS; phase <= JT_UPGRADE_GIVEN;
	     phase++)
		for (unsigned kind = 0; kind < 12; kind++) {
			bool in_turn = (phase == JT_UPGRADE_STARTS &&
					kind == JT_HANDOVER_HELLO) ||
				       (phase == JT_UPGRADE_LEARNS &&
					kind == JT_HANDOVER_READY) ||
				       (phase == JT_UPGRADE_GIVEN &&
					kind == JT_HANDOVER_SERVING);

			start_upgrade((enum jt_upgrade_phase)phase);
			say(kind, 1, 1);
			cr_expect_eq(tend() != JT_UPGRADE_GOES_ON, in_turn,
				     "phase %u, word %u", phase, kind);
			if (up.way_out >= 0)
				close(up.way_out);
			expect_nothing_open();
		}
}

Test(handover, it_waits_for_what_the_newer_one_has_in_force)
{
	start_upgrade(JT_UPGRADE_LEARNS);
	cr_expect_eq(jt_upgrade_theirs(&up), UINT64_MAX);
	say(JT_HANDOVER_READY, 4, 1);
	cr_expect_eq(tend(), JT_UPGRADE_ESTATE);
	jt_upgrade_give(&up, 5, (int[]){dup(STDERR_FILENO)}, 1, NULL);
	cr_expect_eq(jt_upgrade_theirs(&up), 4);
	say(JT_HANDOVER_SERVING, 5, 0);
	cr_expect_eq(tend(), JT_UPGRADE_LEAVE);
	say(JT_HANDOVER_APPLIED, 9, 0);
	say(JT_HANDOVER_APPLIED, 8, 0);
	cr_expect_eq(tend(), JT_UPGRADE_GOES_ON);
	cr_expect_eq(jt_upgrade_theirs(&up), 9);
	say(JT_HANDOVER_HURRY, 0, 0);
	cr_expect_eq(tend(), JT_UPGRADE_HURRY);
	say(JT_HANDOVER_GONE, 0, 0);
	cr_expect_eq(tend(), JT_UPGRADE_STOP);
}
