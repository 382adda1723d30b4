/*
 * attach: the keeper's end, by made-up segments and settings, and the client's.
 * Who we are is what the kernel says: this process, so rules name its uid.
 */
#include "sidecar/attach.h"

#include "sidecar/control.h"
#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define T0 5000000000000ull

static struct help_table table;
static struct jt_doors doors;
static struct jt_paths paths;
static struct jt_settings settings;
static struct jt_attaches a;
static char top[64];

static void open_doors(void)
{
	const struct jt_doors_want want = {.http_listen = ""};
	struct jt_fault fault = {0};

	cr_assert_eq(jt_doors_open(&doors, &paths, &want, &fault), 0, "%s",
		     fault.line);
}

static void begin(void)
{
	cr_assert_eq(jt_attaches_init(&a, &doors, &table.maps, &table.fds,
				      &settings, T0),
		     0);
}

static void setup(void)
{
	help_quiet();
	help_dir(top);
	snprintf(paths.data, sizeof(paths.data), "%s/d", top);
	snprintf(paths.run, sizeof(paths.run), "%s/r", top);
	help_table_new(&table, 64);
	jt_settings_default(&settings);
	open_doors();
	begin();
}

TestSuite(attach, .init = setup);

static int dial(void)
{
	int fd = -1;

	cr_assert_eq(jt_attach_dial(paths.run, JT_ATTACH_NAME, &fd), 0);
	return fd;
}

/* One client, answered in a turn at NOW; what it hears. */
static int hear(uint64_t now_ns, bool in_force, struct jt_segment_fds *fdsp,
		enum jt_attach_right *rightp)
{
	int fd = dial(), rc;

	cr_assert_eq(jt_attach_take(fd, fdsp, rightp), -EAGAIN);
	jt_attaches_run(&a, now_ns, in_force);
	rc = jt_attach_take(fd, fdsp, rightp);
	close(fd);
	return rc;
}

static uint64_t lease(void)
{
	return jt_load_seq(&table.maps.identity->lease_ns);
}

static void lock_text(char text[512])
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/d/serving.lock", top);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert(fd >= 0);
	memset(text, 0, 512);
	cr_assert_geq(read(fd, text, 511), 0);
	close(fd);
}

static void write_text(const char *text, size_t bytes)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/d/serving.lock", top);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	cr_assert_eq(write(fd, text, bytes), (ssize_t)bytes);
	close(fd);
}

static bool is_marked(void)
{
	char text[512];

	lock_text(text);
	return strstr(text, "\nattached ") != NULL;
}

/* One rule: whoever matches gets RIGHT. */
static void rule(enum jt_rule_match match, uint32_t id, uint8_t right)
{
	settings.n_rules = 1;
	settings.rules[0] = (struct jt_rule){
		.name = "r", .match = match, .id = id, .attach = right};
}

static bool writable(int fd, size_t bytes)
{
	void *map =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return false;
	munmap(map, bytes);
	return true;
}

/* ---- rights ---- */

Test(attach, own_user_may_spend_without_settings)
{
	struct jt_segment_fds fds;
	enum jt_attach_right right;
	struct jt_maps maps;

	cr_assert_eq(hear(T0, true, &fds, &right), 0);
	cr_expect_eq(right, JT_ATTACH_SPEND);
	cr_expect(fcntl(fds.identity, F_GETFD) & FD_CLOEXEC);
	cr_expect(fcntl(fds.meters, F_GETFD) & FD_CLOEXEC);
	cr_expect_not(writable(fds.identity, table.maps.identity_bytes));
	cr_expect(writable(fds.meters, table.maps.meters_bytes));
	cr_expect_eq(jt_segment_map(&fds, &maps), 0);
}

Test(attach, who_may_look_gets_meters_that_cannot_be_written)
{
	struct jt_segment_fds fds;
	enum jt_attach_right right;
	struct jt_maps maps;

	rule(JT_RULE_UID, geteuid(), JT_ATTACH_LOOK);
	cr_assert_eq(hear(T0, true, &fds, &right), 0);
	cr_expect_eq(right, JT_ATTACH_LOOK);
	cr_expect_not(writable(fds.identity, table.maps.identity_bytes));
	cr_expect_not(writable(fds.meters, table.maps.meters_bytes));
	cr_expect_eq(pwrite(fds.meters, "x", 1, 0), -1);
	cr_expect_eq(jt_segment_look(&fds, &maps), 0);
	cr_expect_eq(mprotect(maps.meters, maps.meters_bytes,
			      PROT_READ | PROT_WRITE),
		     -1);
}

Test(attach, group_decides_too)
{
	struct jt_segment_fds fds;
	enum jt_attach_right right;

	rule(JT_RULE_GID, getegid(), JT_ATTACH_SPEND);
	cr_expect_eq(hear(T0, true, &fds, &right), 0);
	rule(JT_RULE_GID, getegid() + 12345, JT_ATTACH_SPEND);
	cr_expect_eq(hear(T0, true, &fds, &right), JT_ATTACH_E_RIGHT);
}

Test(attach, who_may_not_gets_one_byte_and_no_descriptor)
{
	char byte[8];
	int fd;

	rule(JT_RULE_ANYBODY, 0, JT_ATTACH_NO);
	fd = dial();
	jt_attaches_run(&a, T0, true);
	cr_expect_eq(recv(fd, byte, sizeof(byte), 0), 1);
	cr_expect_eq(byte[0], JT_ATTACH_E_RIGHT);
	cr_expect_eq(recv(fd, byte, sizeof(byte), 0), 0, "and is closed");
	cr_expect_not(is_marked(), "nothing was handed out");
}

Test(attach, settings_are_those_of_the_moment)
{
	struct jt_segment_fds fds;
	enum jt_attach_right right;

	cr_expect_eq(hear(T0, true, &fds, &right), 0);
	rule(JT_RULE_UID, geteuid() + 1, JT_ATTACH_SPEND);
	cr_expect_eq(hear(T0, true, &fds, &right), JT_ATTACH_E_RIGHT);
}

Test(attach, nothing_is_handed_out_while_nothing_is_in_force)
{
	struct jt_segment_fds fds;
	enum jt_attach_right right;

	cr_expect_eq(hear(T0, false, &fds, &right), JT_ATTACH_E_LOADING);
	cr_expect_not(is_marked());
	cr_expect_eq(lease(), 0);
}

Test(attach, nothing_is_handed_out_that_cannot_be_marked)
{
	struct jt_segment_fds fds;
	enum jt_attach_right right;
	char path[128], away[128];

	snprintf(path, sizeof(path), "%s/d/serving.lock", top);
	snprintf(away, sizeof(away), "%s/d/elsewhere", top);
	cr_assert(!rename(path, away));
	cr_expect_eq(hear(T0, true, &fds, &right), JT_ATTACH_E_LOADING);
	cr_assert(!mkfifo(path, 0600));
	cr_expect_eq(hear(T0, true, &fds, &right), JT_ATTACH_E_LOADING);
	cr_assert(!rename(away, path));
	cr_expect_eq(hear(T0, true, &fds, &right), 0, "tried again");
	cr_expect(is_marked());
}

Test(attach, a_turn_has_a_bound_and_the_rest_is_for_the_next)
{
	enum jt_attach_right right;
	struct jt_segment_fds fds;
	int crowd[40], answered = 0;

	for (unsigned i = 0; i < 40; i++)
		crowd[i] = dial();
	jt_attaches_run(&a, T0, true);
	for (unsigned i = 0; i < 40; i++)
		answered += jt_attach_take(crowd[i], &fds, &right) == 0;
	cr_expect_eq(answered, 16);
	jt_attaches_run(&a, T0, true);
	jt_attaches_run(&a, T0, true);
	for (unsigned i = 0; i < 40; i++)
		answered += jt_attach_take(crowd[i], &fds, &right) == 0;
	cr_expect_eq(answered, 40);
}

Test(attach, who_went_away_is_no_trouble)
{
	struct jt_segment_fds fds;
	enum jt_attach_right right;

	for (unsigned i = 0; i < 8; i++)
		close(dial());
	cr_expect_eq(hear(T0, true, &fds, &right), 0);
}

/* ---- the lease ---- */

Test(attach, lease_is_half_a_second_from_the_turn)
{
	jt_attaches_run(&a, T0, true);
	cr_expect_eq(lease(), T0 + JT_LEASE_NS);
	jt_attaches_run(&a, T0 + JT_LEASE_STEP_NS - 1, true);
	cr_expect_eq(lease(), T0 + JT_LEASE_NS, "not at every turn");
	jt_attaches_run(&a, T0 + JT_LEASE_STEP_NS, true);
	cr_expect_eq(lease(), T0 + JT_LEASE_STEP_NS + JT_LEASE_NS);
}

Test(attach, lease_runs_out_while_revokes_cannot_be_applied)
{
	jt_attaches_run(&a, T0, true);
	jt_attaches_run(&a, T0 + 2 * JT_LEASE_NS, false);
	cr_expect_eq(lease(), T0 + JT_LEASE_NS);
	jt_attaches_run(&a, T0 + 3 * JT_LEASE_NS, true);
	cr_expect_eq(lease(), T0 + 4 * JT_LEASE_NS);
}

Test(attach, retiring_ends_it_and_takes_the_mark_away)
{
	struct jt_segment_fds fds;
	enum jt_attach_right right;
	int waiting, fd = -1;

	cr_assert_eq(hear(T0, true, &fds, &right), 0);
	cr_assert(is_marked());
	waiting = dial();
	jt_attaches_retire(&a, T0);
	cr_expect_eq(lease(), 0);
	cr_expect_eq(jt_load_seq(&table.maps.identity->state),
		     JT_IDENTITY_RETIRED);
	cr_expect_not(is_marked());
	cr_expect_eq(jt_attach_take(waiting, &fds, &right),
		     JT_ATTACH_E_LOADING);
	cr_expect_eq(jt_attach_dial(paths.run, JT_ATTACH_NAME, &fd),
		     -ECONNREFUSED, "nobody waits for an answer");
}

Test(attach, socket_that_was_passed_serves_the_next_one_too)
{
	struct jt_segment_fds fds;
	enum jt_attach_right right;
	int waiting;

	doors.passed.attach = doors.attach;
	jt_attaches_retire(&a, T0);
	waiting = dial();
	jt_store_seq(&table.maps.identity_rw->state, JT_IDENTITY_SERVING);
	begin();
	jt_attaches_run(&a, T0, true);
	cr_expect_eq(jt_attach_take(waiting, &fds, &right), 0);
}

/* No descriptor is left from now on, or as many as before. */
static void let_no_more(bool no_more)
{
	struct rlimit files;
	int next = dup(0);

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = no_more ? (rlim_t)next : files.rlim_max;
	close(next);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
}

Test(attach, without_a_descriptor_left_the_door_is_not_polled)
{
	struct jt_segment_fds fds;
	enum jt_attach_right right;
	int fd = dial();

	jt_attaches_run(&a, T0, true);
	cr_assert_eq(jt_attach_take(fd, &fds, &right), 0);
	cr_expect_not(a.no_room, "nobody else is there");
	fd = dial();
	let_no_more(true);
	jt_attaches_run(&a, T0, true);
	cr_expect(a.no_room);
	let_no_more(false);
	jt_attaches_run(&a, T0, true);
	cr_expect_not(a.no_room);
	cr_expect_eq(jt_attach_take(fd, &fds, &right), 0);
}

/* ---- guests ---- */

Test(attach, guests_are_counted_by_the_second_from_the_first_on)
{
	struct jt_segment_fds fds;
	enum jt_attach_right right;

	jt_attaches_run(&a, T0, true);
	cr_expect_eq(table.maps.guests, 0);
	rule(JT_RULE_ANYBODY, 0, JT_ATTACH_NO);
	cr_expect_eq(hear(T0, true, &fds, &right), JT_ATTACH_E_RIGHT);
	cr_expect_eq(table.maps.guests, 0, "who got nothing is none");
	rule(JT_RULE_ANYBODY, 0, JT_ATTACH_LOOK);
	cr_expect_eq(hear(T0, true, &fds, &right), 0);
	cr_expect_eq(table.maps.guests, 1);
	jt_attaches_run(&a, T0 + 999999999, true);
	cr_expect_eq(table.maps.guests, 1);
	jt_attaches_run(&a, T0 + 1000000000, false);
	cr_expect_eq(table.maps.guests, 2, "also while nothing is in force");
}

/* ---- the mark ---- */

/* As kill -9 leaves it. */
static void die(void)
{
	close(doors.resp);
	close(doors.control);
	close(doors.attach);
	close(doors.run_lock);
	close(doors.serving_lock);
}

Test(attach, first_descriptor_leaves_a_mark_with_the_boot_id)
{
	struct jt_segment_fds fds;
	enum jt_attach_right right;
	char text[512], boot[64] = "", want[512];
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	cr_assert_eq(read(fd, boot, 36), 36);
	close(fd);
	cr_assert_not(is_marked());
	cr_assert_eq(hear(T0, true, &fds, &right), 0);
	lock_text(text);
	snprintf(want, sizeof(want),
		 "pid %d\ncontrol %s/r/jeton-control.sock\nattached %s\n",
		 getpid(), top, boot);
	cr_expect_str_eq(text, want);
}

Test(attach, successor_of_a_killed_keeper_holds_back_for_the_lease)
{
	struct jt_segment_fds fds;
	enum jt_attach_right right;

	cr_expect_eq(jt_attaches_hold_until_ns(&a), 0);
	cr_assert_eq(hear(T0, true, &fds, &right), 0);
	die();
	open_doors();
	begin();
	cr_expect_eq(jt_attaches_hold_until_ns(&a), T0 + JT_LEASE_NS);
	cr_expect(is_marked(), "it is for the next one, too");
}

Test(attach, who_stops_while_holding_back_leaves_the_mark)
{
	struct jt_segment_fds fds;
	enum jt_attach_right right;

	cr_assert_eq(hear(T0, true, &fds, &right), 0);
	die();
	open_doors();
	begin();
	jt_attaches_retire(&a, T0 + JT_LEASE_NS - 1);
	cr_expect(is_marked());
	die();
	open_doors();
	begin();
	cr_expect_eq(jt_attaches_hold_until_ns(&a), T0 + JT_LEASE_NS);
	jt_attaches_retire(&a, T0 + JT_LEASE_NS);
	cr_expect_not(is_marked());
}

Test(attach, nothing_is_held_back_when_nobody_had_attached)
{
	jt_attaches_run(&a, T0, true);
	die();
	open_doors();
	begin();
	cr_expect_eq(jt_attaches_hold_until_ns(&a), 0);
}

Test(attach, mark_of_another_boot_means_nothing)
{
	const char text[] = "pid 1\ncontrol /x\n"
			    "attached 00000000-0000-0000-0000-000000000000\n";

	write_text(text, strlen(text));
	die();
	open_doors();
	begin();
	cr_expect_eq(jt_attaches_hold_until_ns(&a), 0);
	cr_expect_not(is_marked());
}

Test(attach, lock_that_is_no_text_of_ours_means_nothing)
{
	char junk[8192];

	memset(junk, 'x', sizeof(junk));
	write_text(junk, sizeof(junk));
	die();
	open_doors();
	begin();
	cr_expect_eq(jt_attaches_hold_until_ns(&a), 0);
}

/* ---- holding back ---- */

static void no_status(void *ctx, char *buf, size_t max)
{
	snprintf(buf, max, "{}");
}

/* Is "SYNC 0" answered in a turn at NOW? */
static bool is_answered(struct jt_controls *c, int fd, uint64_t now_ns)
{
	char line[64];

	jt_controls_run(c, now_ns);
	jt_controls_run(c, now_ns);
	return recv(fd, line, sizeof(line), MSG_DONTWAIT) > 0;
}

Test(attach, sync_is_held_back_and_then_answered)
{
	static struct jt_feed feed;
	static struct jt_controls c;
	int fd = -1;

	jt_controls_init(&c, doors.control, &feed, no_status, NULL);
	c.hold_until_ns = T0 + JT_LEASE_NS;
	cr_assert_eq(jt_attach_dial(paths.run, JT_CONTROL_NAME, &fd), 0);
	cr_assert_eq(send(fd, "SYNC 0\n", 7, 0), 7);
	cr_expect_not(is_answered(&c, fd, T0));
	cr_expect_not(is_answered(&c, fd, T0 + JT_LEASE_NS - 1));
	cr_expect(jt_controls_waiting(&c), "so the keeper looks again soon");
	cr_expect(is_answered(&c, fd, T0 + JT_LEASE_NS));
	cr_assert_eq(send(fd, "SYNC 0\n", 7, 0), 7);
	cr_expect(is_answered(&c, fd, T0 + JT_LEASE_NS), "and from then on");
}
