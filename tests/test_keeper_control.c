/* keeper_control: the words of an admin tool, and when they are answered. */
#include "sidecar/control.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define S 1000000000ull

static struct help_table t;
static struct jt_feed feed;
static struct jt_controls controls;
static struct help_token token;
static struct sockaddr_un address;
static uint64_t now = 1000 * S;
static int listener;

static void status(void *ctx, char *buf, size_t max)
{
	snprintf(buf, max, "{\"ctx\":\"%s\"}", (const char *)ctx);
}

static void commit(struct jt_record r)
{
	struct jt_journal j;

	cr_assert_eq(
		jt_journal_open_write(&j, &help_io, HELP_DIR, 50, &help_fault),
		0);
	cr_assert_eq(jt_journal_append(&j, &r, 1, &help_fault), 0);
	jt_journal_close(&j);
}

static void commit_token(struct help_token *tk)
{
	struct jt_record r = {.type = JT_REC_CREATE, .env = "live"};

	help_token_make(tk, "live");
	memcpy(r.token.id, tk->text, JT_ID_BYTES);
	jt_token_digest((const uint8_t *)tk->text, r.token.digest);
	r.token.expires_s = HELP_LATER_S;
	commit(r);
}

static void commit_plan(uint16_t number)
{
	commit((struct jt_record){.type = JT_REC_PLAN,
				  .plan = {.number = number,
					   .rate = number,
					   .period_ns = S,
					   .burst = 5}});
}

static void listen_somewhere(void)
{
	address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address.sun_path + 1, 100, "jeton-control-%d", getpid());
	listener =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cr_assert(
		!bind(listener, (struct sockaddr *)&address, sizeof(address)));
	cr_assert(!listen(listener, 100));
}

static void start(void)
{
	static char ctx[] = "mine";
	struct jt_journal j;

	help_quiet();
	help_journal_new(0);
	help_table_new(&t, 64);
	cr_assert_eq(jt_journal_open(&j, &help_io, HELP_DIR, &help_fault), 0);
	cr_assert_eq(jt_feed_init(&feed, HELP_DIR, &j, &t.maps), 0);
	listen_somewhere();
	jt_controls_init(&controls, listener, &feed, status, ctx);
}

TestSuite(keeper_control, .init = start);

static int dial(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert(!connect(fd, (struct sockaddr *)&address, sizeof(address)));
	return fd;
}

/* One turn of the keeper's loop. */
static void turn(void)
{
	while (jt_feed_step(&feed))
		;
	jt_controls_run(&controls, now);
}

static void say(int fd, const char *text)
{
	ssize_t n = (ssize_t)strlen(text);

	cr_assert_eq(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
}

/* What was answered so far; "" nothing, "(closed)" the end. */
static const char *heard(int fd)
{
	static char text[JT_CONTROL_LINE + 1];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return "(closed)";
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static const char *ask(int fd, const char *text)
{
	say(fd, text);
	turn();
	return heard(fd);
}

static void expect(int fd, const char *text, const char *want)
{
	const char *got = ask(fd, text);

	cr_expect_str_eq(got, want, "%s -> %s", text, got);
}

static void expect_error(int fd, const char *text, const char *word)
{
	const char *got = ask(fd, text);
	char want[32];

	snprintf(want, sizeof(want), "ERR %s ", word);
	cr_expect(!strncmp(got, want, strlen(want)), "%s -> %s", text, got);
	cr_expect_eq(strcspn(got, "\n") + 1, strlen(got), "one line");
}

Test(keeper_control, sync_of_what_is_in_force_is_answered)
{
	int fd = dial();

	expect(fd, "SYNC 0\n", "OK 0\n");
	commit_token(&token);
	expect(fd, "SYNC 1\n", "OK 1\n");
	cr_expect_eq(help_word(&t, &token), JT_VALID);
	commit_plan(1);
	expect(fd, "SYNC 1\n", "OK 2\n");
	expect(fd, "SYNC 2\n", "OK 2\n");
}

Test(keeper_control, sync_waits_for_what_is_not_in_force)
{
	int fd = dial(), other = dial();

	expect(fd, "SYNC 2\n", "");
	cr_expect(jt_controls_waiting(&controls));
	commit_token(&token);
	turn();
	cr_expect_str_eq(heard(fd), "");
	expect(other, "SYNC 1\n", "OK 1\n");
	commit_plan(1);
	turn();
	cr_expect_str_eq(heard(fd), "OK 2\n");
	cr_expect_not(jt_controls_waiting(&controls));
}

Test(keeper_control, wait_ends_at_its_time)
{
	int fd = dial();

	expect(fd, "SYNC 9\n", "");
	now += JT_CONTROL_WAIT_NS;
	turn();
	cr_expect_str_eq(heard(fd), "");
	now++;
	expect_error(fd, "", "TIMEOUT");
	cr_expect_not(jt_controls_waiting(&controls));
	expect(fd, "SYNC 0\n", "OK 0\n");
}

#define NO_BITS                                                                \
	"0000000000000000000000000000000000000000000000000000000000000000"

Test(keeper_control, every_word_waits_for_its_number)
{
	static const char *const lines[] = {
		"SYNC 1\n",	 "FIT 1 1 1 1 1\n", "LIMIT 1 5 5 5 0 0 0\n",
		"PLAN 1 gold\n", "SCOPE 1 a:b\n",   "SET 1 " NO_BITS "\n",
		"PAIR 1 2 3\n",	 "USERS 1 2\n"};
	static const char *const replies[] = {
		"OK 1\n",   "OK\n",	"OK 0 1\n", "OK 0 0\n",
		"OK 0 1\n", "OK 0 1\n", "OK 0\n",   "OK 0 0\n"};
	int fds[8];

	for (unsigned i = 0; i < 8; i++) {
		fds[i] = dial();
		expect(fds[i], lines[i], "");
	}
	commit_token(&token);
	turn();
	for (unsigned i = 0; i < 8; i++)
		cr_expect_str_eq(heard(fds[i]), replies[i], "%s", lines[i]);
}

Test(keeper_control, fit_is_refused_when_there_is_no_room)
{
	int fd = dial();

	expect(fd, "FIT 0 64 68 65535 1000\n", "OK\n");
	expect_error(fd, "FIT 0 65 0 0 0\n", "FULL");
	expect_error(fd, "FIT 0 0 69 0 0\n", "FULL");
	expect_error(fd, "FIT 0 0 0 65536 0\n", "FULL");
	expect_error(fd, "FIT 0 0 0 0 10000000\n", "FULL");
	expect_error(fd, "FIT 0 18446744073709551615 0 0 0\n", "FULL");
	expect_error(fd, "FIT 0 0 18446744073709551615 0 0\n", "FULL");
	commit_token(&token);
	expect_error(fd, "FIT 1 64 0 0 0\n", "FULL");
	expect_error(fd, "FIT 1 0 68 0 0\n", "FULL");
	expect(fd, "FIT 1 63 67 0 0\n", "OK\n");
}

Test(keeper_control, limit_gives_its_number_and_the_next)
{
	int fd = dial();

	expect(fd, "LIMIT 0 1 1000000000 5 0 0 0\n", "OK 0 1\n");
	commit_plan(1);
	commit_plan(2);
	expect(fd, "LIMIT 2 1 1000000000 5 0 0 0\n", "OK 1 3\n");
	expect(fd, "LIMIT 2 2 1000000000 5 0 0 0\n", "OK 2 3\n");
	expect(fd, "LIMIT 2 2 1000000000 6 0 0 0\n", "OK 0 3\n");
	expect(fd, "LIMIT 2 2 1000000000 5 1 0 0\n", "OK 0 3\n");
	expect(fd, "LIMIT 2 2 1000000000 5 0 4294967296 0\n", "OK 0 0\n");
	feed.ledger.plans.n = 65535;
	expect(fd, "LIMIT 2 7 7 7 0 0 0\n", "OK 0 0\n");
	expect(fd, "LIMIT 2 2 1000000000 5 0 0 0\n", "OK 2 0\n");
}

Test(keeper_control, plan_is_found_by_its_name)
{
	struct jt_record r = {.type = JT_REC_PLAN,
			      .plan = {.number = 1,
				       .rate = 1,
				       .period_ns = S,
				       .burst = 1,
				       .name = "gold"}};
	int fd = dial();

	commit(r);
	expect(fd, "PLAN 1 gold\n", "OK 1 0\n");
	expect(fd, "PLAN 1 golden\n", "OK 0 0\n");
	expect(fd, "PLAN 1 gol\n", "OK 0 0\n");
	expect(fd, "LIMIT 1 1 1000000000 1 0 0 0\n", "OK 0 2\n");
	r.plan.removed = 1;
	commit(r);
	expect(fd, "PLAN 2 gold\n", "OK 1 1\n");
	expect_error(fd, "PLAN 2 123456789012345678901234567890123\n", "USAGE");
	expect(fd, "PLAN 2 12345678901234567890123456789012\n", "OK 0 0\n");
}

Test(keeper_control, scopes_and_sets_are_found_and_named)
{
	struct jt_record scope = {.type = JT_REC_SCOPE,
				  .scope = {.number = 1, .name = "a:b"}};
	struct jt_record set = {.type = JT_REC_SCOPES,
				.scopes = {.number = 1, .bits = {3}}};
	static const char three[] = "SET 3 03000000000000000000000000000000"
				    "00000000000000000000000000000000\n";
	int fd = dial();

	expect(fd, "SCOPE 0 a:b\n", "OK 0 1\n");
	expect_error(fd, "NAMES 1\n", "NOTFOUND");
	commit(scope);
	scope.scope.number = 2;
	memcpy(scope.scope.name, "*\0", 3);
	commit(scope);
	expect(fd, "SCOPE 2 a:b\n", "OK 1 3\n");
	expect(fd, "SCOPE 2 *\n", "OK 2 3\n");
	expect(fd, "SCOPE 2 a\n", "OK 0 3\n");
	commit(set);
	expect(fd, three, "OK 1 2\n");
	expect(fd, "SET 3 " NO_BITS "\n", "OK 0 2\n");
	expect_error(fd, "SET 3 00\n", "USAGE");
	expect_error(fd, "SET 3 z" NO_BITS "\n", "USAGE");
	expect(fd, "NAMES 1\n", "OK a:b *\n");
	expect_error(fd, "NAMES 0\n", "NOTFOUND");
	expect_error(fd, "NAMES 2\n", "NOTFOUND");
	expect_error(fd, "NAMES 65537\n", "NOTFOUND");
}

Test(keeper_control, pairs_and_users_of_a_plan_are_counted)
{
	struct jt_record r = {.type = JT_REC_CREATE, .env = "live"};
	int fd = dial();

	commit((struct jt_record){.type = JT_REC_PLAN,
				  .plan = {.number = 1,
					   .quota = 5,
					   .quota_unit = JT_QUOTA_DAY,
					   .name = "gold"}});
	commit_plan(2);
	expect(fd, "PAIR 2 0 0\n", "OK 1\n");
	expect(fd, "PAIR 2 1 0\n", "OK 0\n");
	expect(fd, "USERS 2 1\n", "OK 0 0\n");
	for (unsigned i = 0; i < 3; i++) {
		help_token_make(&token, "live");
		memcpy(r.token.id, token.text, JT_ID_BYTES);
		jt_token_digest((const uint8_t *)token.text, r.token.digest);
		r.token.plan = 1;
		r.token.own = i ? 2 : 0;
		commit(r);
	}
	expect(fd, "PAIR 5 1 0\n", "OK 1\n");
	expect(fd, "PAIR 5 1 2\n", "OK 1\n");
	expect(fd, "PAIR 5 0 2\n", "OK 0\n");
	expect(fd, "USERS 5 1\n", "OK 3 2\n");
	r.type = JT_REC_REVOKE;
	commit(r);
	expect(fd, "USERS 6 1\n", "OK 2 2\n");
	expect(fd, "USERS 6 65537\n", "OK 0 0\n");
	expect(fd, "PAIR 6 65537 0\n", "OK 0 0\n");
}

Test(keeper_control, look_tells_what_is_known)
{
	struct help_token other;
	char line[64];
	int fd = dial();

	help_token_make(&other, "live");
	commit_plan(1);
	commit_token(&token);
	turn();
	help_word(&t, &token);
	snprintf(line, sizeof(line), "LOOK %.24s\n", token.text);
	expect(fd, line, "OK 2 2 0 0 0 1 0 1800000000 0 0 0 0 0 0 0\n");
	snprintf(line, sizeof(line), "LOOK %.24s\n", other.text);
	expect_error(fd, line, "NOTFOUND");
	expect_error(fd, "LOOK ________________________\n", "NOTFOUND");
}

Test(keeper_control, status_is_one_line)
{
	int fd = dial();

	expect(fd, "STATUS\n", "OK {\"ctx\":\"mine\"}\n");
	expect_error(fd, "STATUS please\n", "USAGE");
}

Test(keeper_control, pending_tells_the_time_that_holds_and_who_is_denied)
{
	static struct jt_denials denials;
	char want[64];
	int fd = dial();

	jt_store_relaxed(&t.maps.identity_rw->clock_s, 1800000000);
	expect(fd, "PENDING 0\n", "OK 1800000000 0\n");
	commit_token(&token);
	turn();
	cr_assert_eq(jt_denials_init(&denials, &feed.journal, HELP_DIR), 0);
	jt_controls_denying(&controls, &denials);
	cr_assert_eq(jt_denials_add(&denials, &feed.ledger, token.text, 1, ""),
		     0);
	snprintf(want, sizeof(want), "OK 1800000000 1 %.24s\n", token.text);
	expect(fd, "PENDING 0\n", want);
	expect(fd, "PENDING 1\n", "OK 1800000000 1\n");
	expect(fd, "PENDING 18446744073709551615\n",
	       "OK 1800000000 18446744073709551615\n");
	expect_error(fd, "PENDING\n", "USAGE");
}

Test(keeper_control, rubbish_is_answered_with_the_words)
{
	static const char *const bad[] = {
		"\n",
		"HELLO\n",
		"sync 1\n",
		"SYNC\n",
		"SYNC \n",
		"SYNC x\n",
		"SYNC -1\n",
		"SYNC +1\n",
		"SYNC  1\n",
		"SYNC 1 \n",
		"SYNC 1 2\n",
		"SYNC 1x\n",
		"SYNC 0x1\n",
		"SYNC 1\r\n",
		"SYNC\t1\n",
		" SYNC 1\n",
		"SYNCS 1\n",
		"SYNC 18446744073709551616\n",
		"SYNC 99999999999999999999999\n",
		"FIT 1 2 3 4\n",
		"FIT 0 1 2 3 4 5\n",
		"FIT 0 1 2 3 -4\n",
		"LIMIT 0 1 2 3 4 5\n",
		"LIMIT 0 1 2 3 4 5 6 7\n",
		"PLAN\n",
		"PLAN 0\n",
		"PLAN 0 \n",
		"PLAN 0 1 2\n",
		"PLAN x gold\n",
		"PLAN 18446744073709551616 gold\n",
		"SCOPE 0\n",
		"SCOPE 0 a b\n",
		"SET 0\n",
		"SET 0 12\n",
		"PAIR 0 1\n",
		"PAIR 0 1 2 3\n",
		"USERS 0\n",
		"NAMES\n",
		"NAMES x\n",
		"LOOK\n",
		"LOOK \n",
		"LOOK short\n",
		"LOOK 0123456789012345678901234\n",
		"LOOK0123456789012345678901234\n",
		"GET / HTTP/1.1\n",
	};
	int fd = dial();

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_error(fd, bad[i], "USAGE");
	expect(fd, "SYNC 0\n", "OK 0\n");
}

Test(keeper_control, byte_0_does_not_end_a_line)
{
	int fd = dial();

	cr_assert_eq(send(fd, "SYNC 0\0junk\n", 12, 0), 12);
	expect_error(fd, "", "USAGE");
}

Test(keeper_control, line_may_come_in_pieces)
{
	static const char line[] = "SYNC 0\n";
	char piece[2] = "";
	int fd = dial();

	for (unsigned i = 0; i + 1 < sizeof(line) - 1; i++) {
		piece[0] = line[i];
		expect(fd, piece, "");
	}
	expect(fd, "\n", "OK 0\n");
	say(fd, "SYNC 0\nSYN");
	expect(fd, "", "OK 0\n");
	expect(fd, "C 0\n", "OK 0\n");
}

Test(keeper_control, lines_at_once_are_answered_in_order)
{
	int fd = dial();

	expect(fd, "SYNC 0\nFIT 0 1 1 1 1\nSTATUS\nPLAN 0 gold\n",
	       "OK 0\nOK\nOK {\"ctx\":\"mine\"}\nOK 0 0\n");
}

Test(keeper_control, line_behind_one_that_waits_waits, .timeout = 5)
{
	int fd = dial();

	expect(fd, "SYNC 1\nSTATUS\n", "");
	commit_token(&token);
	turn();
	cr_expect_str_eq(heard(fd), "OK 1\nOK {\"ctx\":\"mine\"}\n");
}

Test(keeper_control, many_lines_at_once_are_all_answered)
{
	char text[700 * 7 + 1];
	unsigned n = 0;
	int fd = dial();

	for (unsigned i = 0; i < 700; i++)
		memcpy(text + i * 7, "SYNC 0\n", 8);
	say(fd, text);
	for (unsigned i = 0; i < 700 && n < 700 * 5; i++) {
		turn();
		n += (unsigned)strlen(heard(fd));
	}
	cr_expect_eq(n, 700 * 5);
}

Test(keeper_control, endless_line_is_closed)
{
	char text[JT_CONTROL_LINE + 1];
	const char *got;
	int fd = dial();

	memset(text, 'S', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	got = ask(fd, text);
	cr_expect(!strcmp(got, "(closed)") || !strncmp(got, "ERR USAGE ", 10),
		  "%s", got);
	turn();
	if (strcmp(got, "(closed)"))
		cr_expect_str_eq(heard(fd), "(closed)");
	expect(dial(), "SYNC 0\n", "OK 0\n");
}

Test(keeper_control, longest_fitting_line_is_answered)
{
	char text[257];
	int fd = dial();

	memset(text, 'S', sizeof(text));
	text[254] = '\n';
	text[255] = '\0';
	expect_error(fd, text, "USAGE");
	expect(fd, "SYNC 0\n", "OK 0\n");
}

/* ---- health ---- */

Test(keeper_control, nothing_is_promised_while_health_is_red)
{
	static const char *const lines[] = {"SYNC 1\n", "SYNC 0\n",
					    "FIT 0 0 0 0 0\n", "PLAN 0 gold\n"};
	int fd = dial(), waiting = dial(), right;

	commit_token(&token);
	expect(fd, "SYNC 1\n", "OK 1\n");
	expect(waiting, "SYNC 5\n", "");
	right = disk_find(&help_disk, "journal");
	disk_change(&help_disk, "", -1, "journal");
	for (unsigned i = 0; i < 4; i++)
		expect_error(fd, lines[i], "RED");
	expect_error(waiting, "", "RED");
	expect(fd, "STATUS\n", "OK {\"ctx\":\"mine\"}\n");
	disk_change(&help_disk, "journal", right, "");
	expect(fd, "SYNC 1\n", "OK 1\n");
}

Test(keeper_control, change_that_was_not_flushed_is_not_acknowledged)
{
	int fd = dial();

	commit_token(&token);
	expect(fd, "SYNC 1\n", "OK 1\n");
	commit_plan(1);
	help_io_plan((struct help_plan){
		.fail_at = 1, .error = EIO, .kinds = 1u << CALL_DATASYNC});
	for (unsigned i = 0; i < 3; i++) {
		expect_error(fd, "SYNC 2\n", "RED");
		expect_error(fd, "SYNC 1\n", "RED");
	}
}

/* ---- connections ---- */

static unsigned n_open(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < JT_CONTROLS_MAX; i++)
		n += controls.clients[i].fd >= 0;
	return n;
}

Test(keeper_control, client_that_hangs_up_is_forgotten)
{
	int fd = dial(), waiting = dial();

	expect(fd, "SYNC 0\n", "OK 0\n");
	expect(waiting, "SYNC 9\n", "");
	cr_expect_eq(n_open(), 2);
	close(fd);
	turn();
	cr_expect_eq(n_open(), 1);
	close(waiting);
	turn();
	cr_expect_eq(n_open(), 0);
	cr_expect_not(jt_controls_waiting(&controls));
}

Test(keeper_control, silent_client_is_closed_at_its_time)
{
	int fd = dial();

	turn();
	now += JT_CONTROL_SILENT_NS;
	turn();
	cr_expect_str_eq(heard(fd), "");
	now++;
	turn();
	cr_expect_str_eq(heard(fd), "(closed)");
	cr_expect_eq(n_open(), 0);
}

/* Readable or gone descriptors of which poll() would tell without end. */
static unsigned n_ready(void)
{
	struct pollfd fds[JT_CONTROLS_MAX + 1];
	unsigned n = jt_controls_poll(&controls, fds);

	cr_assert_leq(n, JT_CONTROLS_MAX + 1);
	return (unsigned)poll(fds, n, 0);
}

Test(keeper_control, nothing_to_do_is_nothing_to_poll_for)
{
	int fd = dial();

	cr_expect_eq(n_ready(), 1, "a newcomer");
	turn();
	cr_expect_eq(n_ready(), 0);
	say(fd, "SYNC 1\n");
	cr_expect_eq(n_ready(), 1);
	turn();
	say(fd, "STATUS\n");
	cr_expect_eq(n_ready(), 0, "not read while the first one waits");
	close(fd);
	turn();
	turn();
	cr_expect_eq(n_ready(), 0, "the keeper would spin");
}

Test(keeper_control, newcomer_beyond_the_places_waits_quietly)
{
	int fds[JT_CONTROLS_MAX], late;

	for (unsigned i = 0; i < JT_CONTROLS_MAX; i++) {
		fds[i] = dial();
		expect(fds[i], "SYNC 9\n", "");
	}
	late = dial();
	expect(late, "STATUS\n", "");
	cr_expect_eq(n_open(), JT_CONTROLS_MAX);
	cr_expect_eq(n_ready(), 0, "the keeper would spin");
	close(fds[3]);
	turn();
	turn();
	cr_expect_str_eq(heard(late), "OK {\"ctx\":\"mine\"}\n");
}

Test(keeper_control, many_come_and_go)
{
	for (unsigned i = 0; i < 200; i++) {
		int fd = dial();

		expect(fd, "SYNC 0\n", "OK 0\n");
		close(fd);
	}
	turn();
	cr_expect_eq(n_open(), 0);
}

Test(keeper_control, client_that_does_not_read_is_dropped)
{
	char text[1001];
	int fd = dial(), other = dial();

	for (unsigned i = 0; i < 1000; i += 5)
		memcpy(text + i, "SYNC\n", 6);
	for (unsigned i = 0; i < 2000 && n_open() != 1; i++) {
		if (send(fd, text, 1000, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
		    errno == EPIPE)
			break;
		turn();
	}
	cr_expect_eq(n_open(), 1);
	expect(other, "SYNC 0\n", "OK 0\n");
}

Test(keeper_control, deinit_closes_all)
{
	int fd = dial(), other = dial();

	expect(fd, "SYNC 9\n", "");
	turn();
	jt_controls_deinit(&controls);
	cr_expect_str_eq(heard(fd), "(closed)");
	cr_expect_str_eq(heard(other), "(closed)");
}

/* ---- when another daemon answers there ---- */

Test(keeper_control, who_asks_what_only_the_other_one_can_is_hung_up_on)
{
	static const char *const lines[] = {
		"DENY jt_live_AAAAAAAAAAAAAAAA because\n", "DENIED\n",
		"FIT 0 1000000 1 1 1\n"};
	int fds[3], idle = dial(), served = dial();
	struct jt_denials none = {0};

	jt_controls_denying(&controls, &none);
	for (unsigned i = 0; i < 3; i++)
		fds[i] = dial();
	turn();
	controls.closed = true;
	for (unsigned i = 0; i < 3; i++)
		expect(fds[i], lines[i], "(closed)");
	expect(served, "SYNC 0\n", "OK 0\n");
	cr_expect_eq(n_open(), 2);
	now += 2 * S;
	turn();
	cr_expect_str_eq(heard(idle), "(closed)");
	cr_expect_eq(n_open(), 0);
}

Test(keeper_control, health_is_then_the_other_ones)
{
	int fd = dial();

	expect(fd, "SYNC 9\n", "");
	controls.closed = true;
	feed.health = JT_HEALTH_LOST;
	jt_controls_run(&controls, now);
	cr_expect_str_eq(heard(fd), "(closed)");
}

/* ---- SAVE ---- */

static uint64_t asked, answered;
static const char *trouble;

static uint64_t begin_save(void *ctx)
{
	return ++asked;
}

static bool is_saved(void *ctx, uint64_t ticket, const char **whyp)
{
	*whyp = trouble;
	return answered >= ticket;
}

Test(keeper_control, save_waits_for_its_own_round)
{
	int one = dial(), two = dial();

	jt_controls_saving(&controls, begin_save, is_saved);
	say(one, "SAVE\n");
	turn();
	say(two, "SAVE\n");
	turn();
	turn();
	cr_expect_eq(asked, 2);
	cr_expect_str_empty(heard(one));
	/* the link of the scribe wakes the keeper, no clock */
	cr_expect_not(jt_controls_waiting(&controls));
	answered = 1;
	turn();
	cr_expect_str_eq(heard(one), "OK\n");
	cr_expect_str_empty(heard(two));
	answered = 2;
	turn();
	cr_expect_str_eq(heard(two), "OK\n");
	say(one, "SAVE\n");
	turn();
	cr_expect_eq(asked, 3);
	cr_expect_str_empty(heard(one));
}

Test(keeper_control, save_tells_trouble_and_gives_up)
{
	int fd = dial();

	jt_controls_saving(&controls, begin_save, is_saved);
	trouble = "no disk";
	say(fd, "SAVE\n");
	turn();
	cr_expect_str_empty(heard(fd));
	answered = asked;
	turn();
	cr_expect_str_eq(heard(fd), "ERR RED no disk\n");
	say(fd, "SAVE\n");
	turn();
	now += JT_CONTROL_WAIT_NS + 1;
	turn();
	cr_expect_str_eq(heard(fd),
			 "ERR TIMEOUT use counts are being written\n");
	cr_expect_eq(asked, 2);
}

Test(keeper_control, save_without_a_scribe_is_refused)
{
	int fd = dial();

	say(fd, "SAVE\n");
	turn();
	cr_expect_str_eq(heard(fd), "ERR RED use counts are not saved here\n");
	say(fd, "SAVE 1\n");
	turn();
	cr_expect_eq(strncmp(heard(fd), "ERR USAGE ", 10), 0);
}

Test(keeper_control, without_a_descriptor_left_the_door_is_not_polled)
{
	struct pollfd fds[JT_CONTROLS_MAX + 1];
	struct rlimit files, none;
	int fd = dial();

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	none = files;
	none.rlim_cur = 0;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	jt_controls_run(&controls, now);
	cr_expect_eq(jt_controls_poll(&controls, fds), 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
	jt_controls_run(&controls, now);
	cr_expect_eq(jt_controls_poll(&controls, fds), 2, "it and the door");
	expect(fd, "FIT 0 1 1 1 1\n", "OK\n");
}
