/* conn: a whole life from made-up completions, in every order. */
#include "sidecar/conn.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define S 1000000000ull

static struct jt_conn c;
static uint64_t now = 1000 * S;

static void open_conn(void)
{
	jt_conn_open(&c, 7, 42, now);
}

static void start(void)
{
	c.in = malloc(JT_CONN_IN_BYTES);
	c.out = malloc(JT_CONN_OUT_BYTES);
	c.generation = 5;
	cr_assert(c.in && c.out);
	open_conn();
}

TestSuite(conn, .init = start);

static void expect_wants(unsigned want)
{
	unsigned got = jt_conn_wants(&c);

	cr_assert_eq(got, want, "wants %u, not %u", got, want);
}

/* N bytes arrive for the receive that is under way. */
static void receive(uint32_t n)
{
	memset(c.in + c.in_len, 'i', n);
	jt_conn_received(&c, (int)n, now);
}

/* All input is parsed, N bytes of reply are written. */
static void answer(uint32_t n, bool more)
{
	cr_assert(jt_conn_ready(&c));
	jt_conn_consumed(&c, more ? 1 : c.in_len, more, now);
	jt_conn_replied(&c, n, now);
}

/* A command came and its reply is being sent; a receive is armed, too. */
static void start_reply(uint32_t n)
{
	expect_wants(JT_WANT_RECV);
	receive(10);
	answer(n, false);
	expect_wants(JT_WANT_SEND | JT_WANT_RECV);
}

static void expect_closed(enum jt_conn_end end)
{
	uint32_t generation = c.generation;

	expect_wants(JT_WANT_CLOSE);
	cr_expect_eq(c.end, end);
	cr_expect_eq(c.generation, generation + 1);
}

/* It wants to close: both operations end in this order, then it is closed. */
static void expect_closing(enum jt_conn_end end)
{
	expect_wants(JT_WANT_CANCEL);
	if (c.receiving)
		jt_conn_received(&c, -ECANCELED, now);
	expect_wants(0);
	if (c.sending)
		jt_conn_sent(&c, -ECANCELED, now);
	expect_wants(0);
	jt_conn_cancel_done(&c);
	expect_closed(end);
}

Test(conn, fresh_one_wants_to_receive_once)
{
	expect_wants(JT_WANT_RECV);
	expect_wants(0);
	cr_expect_not(jt_conn_ready(&c));
	cr_expect_eq(c.fd, 7);
	cr_expect_eq(c.client.id, 42);
	cr_expect_eq(c.generation, 5);
}

Test(conn, command_is_answered_and_the_next_one_read)
{
	start_reply(100);
	jt_conn_sent(&c, 100, now);
	cr_expect_eq(c.out_len, 0);
	expect_wants(0);
	receive(5);
	cr_expect(jt_conn_ready(&c));
}

Test(conn, partial_command_is_read_on_behind_its_first_bytes)
{
	expect_wants(JT_WANT_RECV);
	receive(10);
	jt_conn_consumed(&c, 4, false, now);
	cr_expect_eq(c.in_len, 6);
	cr_expect_not(jt_conn_ready(&c));
	expect_wants(JT_WANT_RECV);
	receive(3);
	cr_expect_eq(c.in_len, 9);
	cr_expect(jt_conn_ready(&c));
}

Test(conn, nothing_is_parsed_while_replies_are_pending)
{
	start_reply(100);
	receive(10);
	cr_expect_not(jt_conn_ready(&c));
	expect_wants(0); /* and one buffer of input is all that is read */
	jt_conn_sent(&c, 99, now);
	cr_expect_not(jt_conn_ready(&c));
	expect_wants(JT_WANT_SEND);
	jt_conn_sent(&c, 1, now);
	cr_expect(jt_conn_ready(&c));
	expect_wants(0);
}

Test(conn, who_is_shut_out_rests_and_is_read_in_small_pieces)
{
	cr_expect_eq(jt_conn_room(&c), JT_CONN_IN_BYTES);
	expect_wants(JT_WANT_RECV);
	receive(10);
	answer(50, false);
	jt_conn_shut_out(&c, true);
	expect_wants(JT_WANT_SEND);
	jt_conn_sent(&c, 50, now);
	expect_wants(0);
	jt_conn_wake(&c);
	cr_expect_leq(jt_conn_room(&c), 4096);
	expect_wants(JT_WANT_RECV);
	receive(10);
	answer(50, false);
	jt_conn_shut_out(&c, false);
	expect_wants(JT_WANT_SEND | JT_WANT_RECV);
	cr_expect_eq(jt_conn_room(&c), JT_CONN_IN_BYTES);
}

Test(conn, who_rests_can_be_closed)
{
	expect_wants(JT_WANT_RECV);
	receive(10);
	answer(50, false);
	jt_conn_shut_out(&c, true);
	expect_wants(JT_WANT_SEND);
	jt_conn_abort(&c, JT_END_STOP);
	expect_closing(JT_END_STOP);
}

Test(conn, commands_left_over_are_answered_before_more_is_read)
{
	expect_wants(JT_WANT_RECV);
	receive(10);
	answer(50, true);
	expect_wants(JT_WANT_SEND);
	jt_conn_sent(&c, 50, now);
	cr_expect(jt_conn_ready(&c));
	expect_wants(0);
	answer(50, false);
	expect_wants(JT_WANT_SEND | JT_WANT_RECV);
}

Test(conn, short_sends_of_one_byte_go_on_where_they_stopped)
{
	start_reply(300);
	for (uint32_t i = 0; i < 299; i++) {
		cr_assert_eq(c.out_sent, i);
		jt_conn_sent(&c, 1, now);
		expect_wants(JT_WANT_SEND);
	}
	jt_conn_sent(&c, 1, now);
	cr_expect_eq(c.out_len, 0);
	expect_wants(0);
}

Test(conn, interrupted_operations_are_started_again)
{
	expect_wants(JT_WANT_RECV);
	jt_conn_received(&c, -EINTR, now);
	expect_wants(JT_WANT_RECV);
	jt_conn_received(&c, -EAGAIN, now);
	expect_wants(JT_WANT_RECV);
	receive(1);
	answer(10, false);
	expect_wants(JT_WANT_SEND | JT_WANT_RECV);
	jt_conn_sent(&c, -EAGAIN, now);
	expect_wants(JT_WANT_SEND);
	jt_conn_sent(&c, -EINTR, now);
	expect_wants(JT_WANT_SEND);
	cr_expect_eq(c.out_sent, 0);
}

Test(conn, errors_close)
{
	static const int errors[] = {-ECONNRESET, -EPIPE,  -ENOTCONN,
				     -ECANCELED,  -ENOMEM, -EBADF};

	for (unsigned i = 0; i < 6; i++) {
		open_conn();
		expect_wants(JT_WANT_RECV);
		jt_conn_received(&c, errors[i], now);
		expect_closing(JT_END_CLIENT);
		open_conn();
		start_reply(10);
		jt_conn_sent(&c, errors[i], now);
		expect_closing(JT_END_CLIENT);
	}
	open_conn();
	start_reply(10);
	jt_conn_sent(&c, 0, now);
	expect_closing(JT_END_CLIENT);
}

Test(conn, cancel_may_end_before_or_after_its_targets)
{
	for (unsigned order = 0; order < 6; order++) {
		static const char *const orders[] = {"rsc", "rcs", "src",
						     "scr", "crs", "csr"};

		open_conn();
		start_reply(10);
		jt_conn_abort(&c, JT_END_SLOW);
		expect_wants(JT_WANT_CANCEL);
		for (const char *o = orders[order]; *o; o++) {
			expect_wants(0);
			if (*o == 'r')
				receive(5); /* it was there already */
			else if (*o == 's')
				jt_conn_sent(&c, 10, now);
			else
				jt_conn_cancel_done(&c);
		}
		cr_expect_not(jt_conn_ready(&c));
		expect_closed(JT_END_SLOW);
	}
}

Test(conn, close_is_wanted_exactly_once)
{
	expect_wants(JT_WANT_RECV);
	jt_conn_abort(&c, JT_END_STOP);
	expect_closing(JT_END_STOP);
	expect_wants(0);
	expect_wants(0);
	cr_expect_eq(c.generation, 6);
}

Test(conn, next_tenant_starts_afresh)
{
	start_reply(10);
	c.client.quit = true;
	strcpy(c.client.name, "former");
	jt_conn_abort(&c, JT_END_SLOW);
	expect_closing(JT_END_SLOW);
	now += 100 * S;
	jt_conn_open(&c, 9, 43, now);
	cr_expect_eq(c.generation, 6);
	cr_expect_eq(c.fd, 9);
	cr_expect_eq(c.in_len, 0);
	cr_expect_eq(c.out_len, 0);
	cr_expect_not(c.client.quit);
	cr_expect_str_empty(c.client.name);
	cr_expect_not(jt_conn_expire(&c, 0, now));
	expect_wants(JT_WANT_RECV);
}

Test(conn, first_reason_stays)
{
	jt_conn_abort(&c, JT_END_SLOW);
	jt_conn_abort(&c, JT_END_STOP);
	cr_expect_eq(c.end, JT_END_SLOW);
}

/* ---- ends that answer first ---- */

Test(conn, half_close_answers_what_came_before)
{
	expect_wants(JT_WANT_RECV);
	receive(10);
	answer(100, true);
	expect_wants(JT_WANT_SEND);
	jt_conn_sent(&c, 100, now);
	answer(100, false);
	expect_wants(JT_WANT_SEND | JT_WANT_RECV);
	jt_conn_received(&c, 0, now);
	expect_wants(0);
	jt_conn_sent(&c, 60, now);
	expect_wants(JT_WANT_SEND);
	jt_conn_sent(&c, 40, now);
	expect_closing(JT_END_CLIENT);
}

Test(conn, half_close_behind_unparsed_input_answers_it)
{
	start_reply(100);
	receive(10); /* not parsed: a reply is pending */
	jt_conn_sent(&c, 100, now);
	answer(50, false);
	expect_wants(JT_WANT_SEND | JT_WANT_RECV);
	jt_conn_received(&c, 0, now);
	expect_wants(0);
	jt_conn_sent(&c, 50, now);
	expect_closing(JT_END_CLIENT);
}

Test(conn, half_close_in_the_middle_of_a_command_closes)
{
	expect_wants(JT_WANT_RECV);
	receive(10);
	jt_conn_consumed(&c, 0, false, now);
	expect_wants(JT_WANT_RECV);
	jt_conn_received(&c, 0, now);
	expect_closing(JT_END_CLIENT);
}

Test(conn, close_without_a_word_closes)
{
	expect_wants(JT_WANT_RECV);
	jt_conn_received(&c, 0, now);
	expect_closing(JT_END_CLIENT);
}

static void expect_told_then_closed(enum jt_conn_end why)
{
	expect_wants(JT_WANT_RECV);
	receive(10);
	answer(30, true); /* more input is there: it is dropped */
	jt_conn_finish(&c, why);
	expect_wants(JT_WANT_SEND);
	jt_conn_sent(&c, 29, now);
	cr_expect_not(jt_conn_ready(&c));
	expect_wants(JT_WANT_SEND);
	jt_conn_sent(&c, 1, now);
	cr_expect_not(jt_conn_ready(&c));
	expect_closing(why);
}

Test(conn, quit_and_broken_requests_are_told_then_closed)
{
	expect_told_then_closed(JT_END_QUIT);
	open_conn();
	expect_told_then_closed(JT_END_PROTOCOL);
}

Test(conn, finish_without_a_reply_closes_at_once)
{
	expect_wants(JT_WANT_RECV);
	jt_conn_finish(&c, JT_END_STOP);
	expect_closing(JT_END_STOP);
}

/* A stop while a reply is pending, and a receive is under way. */
Test(conn, finish_reads_nothing_more)
{
	start_reply(10);
	jt_conn_finish(&c, JT_END_STOP);
	expect_wants(0);
	receive(10);
	expect_wants(0);
	jt_conn_sent(&c, 10, now);
	cr_expect_not(jt_conn_ready(&c), "would be answered after its end");
	expect_closing(JT_END_STOP);
}

/* ---- deadlines ---- */

static void expect_deadline(uint64_t since, uint64_t limit)
{
	cr_expect_not(jt_conn_expire(&c, 0, since));
	cr_expect_not(jt_conn_expire(&c, 0, since - S), "clock gone back");
	cr_expect_not(jt_conn_expire(&c, 0, since + limit - 1));
	cr_assert(jt_conn_expire(&c, 0, since + limit));
	cr_expect_not(jt_conn_expire(&c, 0, since + 2 * limit), "told once");
	expect_closing(JT_END_SLOW);
}

Test(conn, silent_one_is_closed)
{
	expect_wants(JT_WANT_RECV);
	expect_deadline(now, JT_CONN_FIRST_NS);
}

Test(conn, unfinished_command_is_closed)
{
	expect_wants(JT_WANT_RECV);
	now += 20 * S;
	receive(3);
	jt_conn_consumed(&c, 0, false, now);
	expect_wants(JT_WANT_RECV);
	expect_deadline(now, JT_CONN_REQUEST_NS);
}

Test(conn, one_byte_a_second_does_not_move_the_deadline)
{
	uint64_t first = now;

	expect_wants(JT_WANT_RECV);
	for (unsigned i = 0; i < 4; i++) {
		receive(1);
		jt_conn_consumed(&c, 0, false, now);
		expect_wants(JT_WANT_RECV);
		now += S;
	}
	expect_deadline(first, JT_CONN_REQUEST_NS);
}

Test(conn, rest_behind_an_answered_command_has_its_own_deadline)
{
	expect_wants(JT_WANT_RECV);
	receive(10);
	now += 3 * S;
	jt_conn_consumed(&c, 8, false, now);
	jt_conn_replied(&c, 5, now);
	expect_wants(JT_WANT_SEND | JT_WANT_RECV);
	jt_conn_sent(&c, 5, now);
	expect_deadline(now, JT_CONN_REQUEST_NS);
}

Test(conn, reader_that_does_not_read_is_closed)
{
	start_reply(1000);
	now += 4 * S;
	jt_conn_sent(&c, 1, now);
	expect_wants(JT_WANT_SEND);
	expect_deadline(now, JT_CONN_DRAIN_NS);
}

Test(conn, input_does_not_move_the_deadline_for_taking_replies)
{
	uint64_t since = now;

	start_reply(1000);
	now += 9 * S;
	receive(10);
	expect_deadline(since, JT_CONN_DRAIN_NS);
}

Test(conn, idle_between_commands_is_never_closed)
{
	start_reply(10);
	jt_conn_sent(&c, 10, now);
	cr_expect_not(jt_conn_expire(&c, 0, now + 1000000 * S));
	cr_expect_not(jt_conn_expire(&c, 0, UINT64_MAX));
	expect_wants(0);
}

Test(conn, full_buffer_without_a_command_is_not_read_on)
{
	expect_wants(JT_WANT_RECV);
	receive(JT_CONN_IN_BYTES);
	jt_conn_consumed(&c, 0, false, now);
	expect_wants(0);
	expect_deadline(now, JT_CONN_REQUEST_NS);
}

/* ---- the model ---- */

/* ---- leaving ---- */

/* Idle, told to leave, and its receive is being cancelled. */
static void start_pause(void)
{
	expect_wants(JT_WANT_RECV);
	jt_conn_leave(&c, true);
	expect_wants(JT_WANT_PAUSE);
	expect_wants(0);
}

static void expect_left(void)
{
	uint32_t generation = c.generation;

	expect_wants(JT_WANT_LEAVE);
	expect_wants(JT_WANT_LEAVE); /* the way may be full */
	jt_conn_left(&c);
	cr_expect_eq(c.generation, generation + 1);
	cr_expect_eq(c.end, JT_END_NONE);
}

Test(conn, idle_one_leaves_when_cancel_and_receive_have_ended_in_any_order)
{
	for (unsigned first = 0; first < 2; first++) {
		open_conn();
		start_pause();
		if (first)
			jt_conn_cancel_done(&c);
		else
			jt_conn_received(&c, -ECANCELED, now);
		expect_wants(0);
		if (first)
			jt_conn_received(&c, -ECANCELED, now);
		else
			jt_conn_cancel_done(&c);
		expect_left();
	}
}

/* A command that came in the moment of the pause is answered here. */
Test(conn, bytes_of_a_paused_receive_are_answered_before_it_leaves)
{
	for (unsigned first = 0; first < 2; first++) {
		open_conn();
		start_pause();
		if (first) {
			jt_conn_cancel_done(&c);
			expect_wants(0);
		}
		receive(10);
		cr_assert(jt_conn_ready(&c));
		answer(6, false);
		if (!first) {
			expect_wants(0); /* a send would be cancelled, too */
			jt_conn_cancel_done(&c);
		}
		cr_assert_eq(jt_conn_wants(&c) & JT_WANT_SEND, JT_WANT_SEND);
		jt_conn_sent(&c, 6, now);
		if (c.receiving) {
			expect_wants(JT_WANT_PAUSE);
			jt_conn_received(&c, -ECANCELED, now);
			jt_conn_cancel_done(&c);
		}
		expect_left();
	}
}

Test(conn, half_a_command_of_a_paused_receive_is_read_to_its_end)
{
	start_pause();
	receive(10);
	jt_conn_consumed(&c, 0, false, now);
	expect_wants(0);
	jt_conn_cancel_done(&c);
	expect_wants(JT_WANT_RECV);
	receive(5);
	answer(6, false);
	cr_assert_eq(jt_conn_wants(&c) & JT_WANT_SEND, JT_WANT_SEND);
}

/* The cancel came too early or too late; the receive waits on. */
Test(conn, pause_that_missed_its_receive_is_begun_anew)
{
	start_pause();
	jt_conn_cancel_done(&c);
	expect_wants(0);
	jt_conn_leave(&c, true);
	expect_wants(JT_WANT_PAUSE);
	expect_wants(0);
	jt_conn_leave(&c, true); /* one cancel at a time */
	expect_wants(0);
	jt_conn_received(&c, -ECANCELED, now);
	expect_wants(0);
	jt_conn_cancel_done(&c);
	expect_left();
}

/* Of the first cancel, after a second one was begun. */
Test(conn, late_end_of_a_paused_receive_is_no_error)
{
	start_pause();
	jt_conn_cancel_done(&c);
	jt_conn_leave(&c, true);
	expect_wants(JT_WANT_PAUSE);
	jt_conn_received(&c, -ECANCELED, now);
	expect_wants(0);
	jt_conn_cancel_done(&c);
	expect_left();
}

Test(conn, who_is_to_stay_after_all_is_read_from_again)
{
	for (unsigned order = 0; order < 4; order++) {
		open_conn();
		start_pause();
		if (order & 1)
			jt_conn_leave(&c, false);
		if (order & 2)
			jt_conn_cancel_done(&c);
		else
			jt_conn_received(&c, -ECANCELED, now);
		expect_wants(0);
		if (order & 2)
			jt_conn_received(&c, -ECANCELED, now);
		else
			jt_conn_cancel_done(&c);
		jt_conn_leave(&c, false);
		expect_wants(JT_WANT_RECV);
		receive(10);
		cr_expect(jt_conn_ready(&c));
	}
}

Test(conn, client_that_goes_while_it_is_paused_is_closed)
{
	static const int results[] = {0, -ECONNRESET};

	for (unsigned i = 0; i < 4; i++) {
		open_conn();
		start_pause();
		if (i & 1)
			jt_conn_cancel_done(&c);
		jt_conn_received(&c, results[i / 2], now);
		if (!(i & 1)) {
			expect_wants(0);
			jt_conn_cancel_done(&c);
		}
		expect_closing(JT_END_CLIENT);
	}
}

/* The cancel of the pause is over before that of the close begins. */
Test(conn, one_that_is_paused_can_be_stopped)
{
	start_pause();
	jt_conn_abort(&c, JT_END_STOP);
	expect_wants(0);
	jt_conn_cancel_done(&c);
	expect_closing(JT_END_STOP);
}

Test(conn, who_rests_leaves_at_once)
{
	jt_conn_shut_out(&c, true);
	jt_conn_leave(&c, true);
	expect_left();
}

Test(conn, replies_that_are_pending_are_sent_before_it_leaves)
{
	start_reply(100);
	jt_conn_leave(&c, true);
	expect_wants(0);
	jt_conn_sent(&c, 40, now);
	expect_wants(JT_WANT_SEND);
	jt_conn_sent(&c, 60, now);
	expect_wants(JT_WANT_PAUSE);
	jt_conn_received(&c, -ECANCELED, now);
	jt_conn_cancel_done(&c);
	expect_left();
}

Test(conn, half_closed_one_does_not_leave)
{
	expect_wants(JT_WANT_RECV);
	receive(10);
	answer(6, false);
	expect_wants(JT_WANT_SEND | JT_WANT_RECV);
	jt_conn_received(&c, 0, now);
	jt_conn_leave(&c, true);
	jt_conn_sent(&c, 6, now);
	expect_closing(JT_END_CLIENT);
}

/*
 * A client that types commands of COMMAND bytes and a server that answers each
 * with REPLY bytes; every byte says where in its stream it belongs. The ring
 * between them completes what is under way in any order and with any result.
 */
#define COMMAND 4u
#define REPLY 6u
#define STEPS 1000000u

struct sim {
	bool recv, send, cancel; /* under way */
	bool leaving;
	bool hit; /* a pause cancels the receive, sooner or later */
	uint8_t *recv_at, *send_at;
	uint32_t recv_room, send_len;
	uint64_t typed, taken, parsed, owed, heard;
	bool shut;    /* the client types nothing more */
	bool clean;   /* nothing but the client's wish ends it */
	bool unasked; /* a cancel was started */
	uint64_t lives, closed_clean, closed_slow, settled, left;
};

static struct sim sim;
static uint64_t seed = 11;

static uint64_t draw(uint64_t n)
{
	return help_random(&seed) % n;
}

static uint8_t typed_byte(uint64_t at)
{
	return (uint8_t)(at * 37 + (at >> 8));
}

static uint8_t reply_byte(uint64_t at)
{
	return (uint8_t)(at * 101 + 3 + (at >> 8));
}

static void sim_open(void)
{
	uint32_t generation = c.generation;

	sim = (struct sim){.clean = true,
			   .lives = sim.lives + 1,
			   .closed_clean = sim.closed_clean,
			   .closed_slow = sim.closed_slow,
			   .settled = sim.settled,
			   .left = sim.left};
	jt_conn_open(&c, 7, sim.lives, now);
	cr_assert_eq(c.generation, generation);
}

static void sim_closed(uint32_t generation)
{
	cr_assert(!sim.recv && !sim.send && !sim.cancel);
	cr_assert(sim.unasked, "closed without a cancel");
	cr_assert_neq(c.generation, generation);
	if (sim.clean) {
		cr_assert_eq(sim.heard, sim.owed);
		sim.closed_clean++;
		if (c.end == JT_END_CLIENT) {
			cr_assert_eq(sim.taken, sim.typed);
			cr_assert_eq(sim.owed, sim.typed / COMMAND * REPLY);
		}
	}
	sim.closed_slow += c.end == JT_END_SLOW;
	sim_open();
}

/* It goes on elsewhere: nothing that it typed or is owed is left here. */
static void sim_leave(void)
{
	cr_assert(!sim.recv && !sim.send && !sim.cancel && sim.leaving);
	cr_assert(!c.in_len && !c.out_len && !c.end && !c.finish);
	cr_assert_eq(sim.parsed, sim.taken);
	cr_assert_eq(sim.heard, sim.owed);
	if (draw(2))
		return; /* no room on the way: later */
	jt_conn_left(&c);
	sim.left++;
	sim_open();
}

static void sim_start(void)
{
	uint32_t generation = c.generation;
	unsigned wants = jt_conn_wants(&c);

	if (wants & JT_WANT_RECV) {
		cr_assert(!sim.recv && !c.fed && !c.finish && !c.end && !c.eof);
		cr_assert_lt(c.in_len, JT_CONN_IN_BYTES);
		sim.recv = true;
		sim.recv_at = c.in + c.in_len;
		sim.recv_room = JT_CONN_IN_BYTES - c.in_len;
	}
	if (wants & JT_WANT_SEND) {
		cr_assert(!sim.send && !c.end && c.out_sent < c.out_len);
		sim.send = true;
		sim.send_at = c.out + c.out_sent;
		sim.send_len = c.out_len - c.out_sent;
	}
	if (wants & JT_WANT_CANCEL) {
		cr_assert(!sim.cancel && !sim.unasked);
		cr_assert_eq(wants, JT_WANT_CANCEL);
		sim.cancel = sim.unasked = true;
	}
	if (wants & JT_WANT_PAUSE) {
		cr_assert(!sim.cancel && !sim.send && sim.recv && sim.leaving);
		cr_assert_eq(wants, JT_WANT_PAUSE);
		sim.cancel = sim.hit = true;
	}
	cr_assert_eq(c.generation != generation, wants == JT_WANT_CLOSE);
	if (wants & JT_WANT_LEAVE) {
		cr_assert_eq(wants, JT_WANT_LEAVE);
		sim_leave();
	}
	if (wants & JT_WANT_CLOSE)
		sim_closed(generation);
}

/* What round.c does with a connection that is ready. */
static void sim_answer(void)
{
	uint32_t whole = c.in_len / COMMAND, n;

	if (!jt_conn_ready(&c))
		return;
	cr_assert(!sim.recv && !sim.send && !c.finish && !c.out_len);
	n = whole ? (uint32_t)draw(whole < 20 ? whole : 20) + 1 : 0;
	for (uint32_t i = 0; i < n * COMMAND; i++)
		cr_assert_eq(c.in[i], typed_byte(sim.parsed + i));
	for (uint32_t i = 0; i < n * REPLY; i++)
		c.out[i] = reply_byte(sim.owed + i);
	sim.parsed += n * COMMAND;
	sim.owed += n * REPLY;
	jt_conn_consumed(&c, n * COMMAND, n < whole, now);
	jt_conn_replied(&c, n * REPLY, now);
	if (n && draw(300) == 0)
		jt_conn_finish(&c, draw(2) ? JT_END_QUIT : JT_END_PROTOCOL);
}

static void end_recv(void)
{
	uint64_t there = sim.typed - sim.taken, n;
	int result = 0;

	if (sim.unasked && draw(2)) {
		result = draw(2) ? -ECANCELED : 0;
	} else if (sim.hit && draw(2)) {
		result = -ECANCELED;
	} else if (there) {
		n = draw(2) ? there : draw(there) + 1;
		n = n < sim.recv_room ? n : sim.recv_room;
		cr_assert_eq(sim.recv_at, c.in + c.in_len, "moved");
		for (uint64_t i = 0; i < n; i++)
			sim.recv_at[i] = typed_byte(sim.taken + i);
		sim.taken += n;
		result = (int)n;
	} else if (!sim.shut && !sim.unasked) {
		return; /* nothing to end it with */
	}
	sim.recv = sim.hit = false;
	jt_conn_received(&c, result, now);
}

static void fail_recv(void)
{
	int result = draw(2) ? -EINTR : -EAGAIN;

	if (draw(400) == 0) {
		result = -ECONNRESET;
		sim.clean = false;
	}
	sim.recv = sim.hit = false;
	jt_conn_received(&c, result, now);
}

static void end_send(bool whole)
{
	uint64_t n = whole     ? sim.send_len
		     : draw(3) ? 1
			       : draw(sim.send_len) + 1;

	if (sim.unasked && draw(2)) {
		sim.send = false;
		jt_conn_sent(&c, -ECANCELED, now);
		return;
	}
	cr_assert_eq(sim.send_at, c.out + c.out_sent, "moved");
	for (uint64_t i = 0; i < n; i++)
		cr_assert_eq(sim.send_at[i], reply_byte(sim.heard + i));
	sim.heard += n;
	sim.send = false;
	jt_conn_sent(&c, (int)n, now);
}

static void fail_send(void)
{
	int result = draw(2) ? -EINTR : -EAGAIN;

	if (draw(400) == 0) {
		result = draw(2) ? -EPIPE : 0;
		sim.clean = false;
	}
	sim.send = false;
	jt_conn_sent(&c, result, now);
}

static void end_cancel(void)
{
	sim.cancel = false;
	sim.hit &= draw(4) != 0; /* or it has missed */
	jt_conn_cancel_done(&c);
}

/* As a worker of a daemon that leaves does, or that stays after all. */
static void tell_to_leave(void)
{
	sim.leaving = draw(4) != 0;
	jt_conn_leave(&c, sim.leaving);
}

static void stop(void)
{
	sim.clean = false;
	if (c.out_len)
		jt_conn_finish(&c, JT_END_STOP);
	else
		jt_conn_abort(&c, JT_END_STOP);
}

static void sim_event(void)
{
	switch (draw(16)) {
	case 0 ... 2:
		if (!sim.shut)
			sim.typed += draw(30);
		break;
	case 3:
		sim.shut |= draw(100) == 0;
		break;
	case 4 ... 7:
		if (sim.recv)
			end_recv();
		break;
	case 8 ... 11:
		if (sim.send)
			end_send(false);
		break;
	case 12:
		if (sim.cancel)
			end_cancel();
		break;
	case 13:
		if (sim.recv)
			fail_recv();
		break;
	case 14:
		if (sim.send)
			fail_send();
		break;
	case 15:
		now += draw(20) ? draw(S / 100) : draw(8 * S);
		if (jt_conn_expire(&c, 0, now))
			sim.clean = false;
		if (draw(300) == 0)
			stop();
		if (draw(20) == 0 || (sim.leaving && draw(4) == 0))
			tell_to_leave();
		break;
	}
}

/* Deliver what is under way: in the end it waits for the client, or is gone. */
static void settle(void)
{
	uint64_t life = sim.lives;

	for (unsigned i = 0; sim.lives == life; i++) {
		cr_assert_lt(i, 100000, "no end");
		if (sim.send)
			end_send(true);
		else if (sim.cancel)
			end_cancel();
		else if (sim.recv && (sim.unasked || sim.shut || sim.hit ||
				      sim.typed > sim.taken))
			end_recv();
		else if (sim.recv && !c.fed && !c.out_len &&
			 (!sim.leaving || c.in_len))
			break;
		if (sim.leaving && !sim.hit)
			jt_conn_leave(&c, true);
		sim_answer();
		sim_start();
	}
	sim.settled++;
}

/* From any state, time alone ends everything but idling. */
static void wait_for_ever(void)
{
	uint64_t life = sim.lives;
	bool idle;

	settle();
	if (sim.lives != life)
		return;
	idle = c.greeted && !c.in_len;
	now += JT_CONN_FIRST_NS;
	cr_assert_eq(jt_conn_expire(&c, 0, now), !idle);
	sim.clean &= idle;
	sim_start();
	settle();
	cr_assert_eq(sim.lives != life, !idle);
}

Test(conn, model_holds_for_a_million_random_events, .timeout = 60)
{
	sim_open();
	sim_start();
	for (unsigned i = 0; i < STEPS; i++) {
		sim_event();
		if (draw(4)) {
			sim_answer();
			sim_start();
		}
		if (draw(500) == 0)
			settle();
		if (draw(3000) == 0)
			wait_for_ever();
	}
	cr_expect_gt(sim.lives, 1000);
	cr_expect_gt(sim.closed_clean, 300);
	cr_expect_gt(sim.closed_slow, 50);
	cr_expect_gt(sim.settled, 1000);
	cr_expect_gt(sim.left, 100);
}
