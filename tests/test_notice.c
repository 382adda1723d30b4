/* notice, courier: what is due, what was said, and a command that takes it. */
#include "admin/courier.h"
#include "admin/notice.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOW 1795463809u
#define DAY 86400u

static struct jt_thresholds t;
static char why[JT_WHY_MAX];

static void setup(void)
{
	cr_assert(sodium_init() >= 0);
	cr_assert(jt_thresholds_parse(JT_THRESHOLDS_DEFAULT, &t, why));
}

TestSuite(notice, .init = setup);

static struct jt_card card(uint64_t expires_s)
{
	return (struct jt_card){.id = "jt_live_0123456789abcdef",
				.name = "n",
				.env = "live",
				.expires_s = (uint32_t)expires_s,
				.type = JT_REC_CREATE};
}

/* Threshold that is due with LEFT_S to go, -1: none. */
static int due(int64_t left_s, struct jt_said said)
{
	struct jt_card c = card((uint64_t)(NOW + left_s));
	uint32_t days = 99;

	return jt_notice_due(&t, &c, said, NOW, &days) ? (int)days : -1;
}

static struct jt_said said_at(int64_t left_s, uint32_t days)
{
	return (struct jt_said){(uint32_t)(NOW + left_s), days};
}

Test(notice, thresholds_are_sorted)
{
	cr_assert(jt_thresholds_parse("7,60,1", &t, why));
	cr_assert_eq(t.n, 3);
	cr_assert_eq(t.days[0], 1);
	cr_assert_eq(t.days[1], 7);
	cr_assert_eq(t.days[2], 60);
	cr_assert(jt_thresholds_parse("1461", &t, why));
}

Test(notice, thresholds_that_are_none)
{
	static const char *const none[] = {"",	   ",",	   "0",	    "1,", ",1",
					   "1,,2", "1462", "99999", "-1", "7d",
					   " 7",   "7 ",   "1;2"};

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		cr_assert_not(jt_thresholds_parse(none[i], &t, why), "%s",
			      none[i]);
	cr_assert_not(jt_thresholds_parse("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,"
					  "16,17",
					  &t, why));
	cr_assert(jt_thresholds_parse("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16",
				      &t, why));
}

Test(notice, due_to_the_second)
{
	static const unsigned days[] = {60, 30, 14, 7, 1};
	const struct jt_said nothing = {0};

	for (int i = 0; i < 5; i++) {
		cr_assert_eq(due((int64_t)days[i] * DAY, nothing),
			     (int)days[i]);
		cr_assert_eq(due((int64_t)days[i] * DAY + 1, nothing),
			     i ? (int)days[i - 1] : -1);
	}
	cr_assert_eq(due(1, nothing), 1);
	cr_assert_eq(due(0, nothing), 0);
	cr_assert_eq(due(-(int64_t)JT_NOTICE_OVER_S, nothing), 0);
	cr_assert_eq(due(-(int64_t)JT_NOTICE_OVER_S - 1, nothing), -1);
}

Test(notice, what_was_said_is_not_said_again)
{
	int64_t five = 5 * DAY;

	cr_assert_eq(due(five, said_at(five, 7)), -1);
	cr_assert_eq(due(five, said_at(five, 14)), 7);
	cr_assert_eq(due(five, said_at(five, 60)), 7);
	cr_assert_eq(due(five, said_at(five, 1)), -1);
	cr_assert_eq(due(five, said_at(five, 0)), -1); /* a clock set back */
	cr_assert_eq(due(-5, said_at(-5, 1)), 0);
	cr_assert_eq(due(-5, said_at(-5, 0)), -1);
	/* of another expiry */
	cr_assert_eq(due(five, said_at(five + 1, 1)), 7);
	cr_assert_eq(due(-5, said_at(five, 0)), 0);
}

Test(notice, only_tokens_that_live)
{
	struct jt_card c = card(NOW + DAY);
	uint32_t days;

	cr_assert(jt_notice_due(&t, &c, (struct jt_said){0}, NOW, &days));
	c.flags = JT_TOKEN_SUSPENDED;
	cr_assert(jt_notice_due(&t, &c, (struct jt_said){0}, NOW, &days));
	c.type = JT_REC_REVOKE;
	cr_assert_not(jt_notice_due(&t, &c, (struct jt_said){0}, NOW, &days));
	c.type = JT_REC_PURGE;
	cr_assert_not(jt_notice_due(&t, &c, (struct jt_said){0}, NOW, &days));
}

Test(notice, the_newest_record_is_remembered)
{
	struct jt_card c = card(NOW + 5 * DAY);
	struct jt_notices n = {0};
	struct jt_catalog catalog;
	struct jt_fault fault;
	struct jt_record r;

	cr_assert_eq(jt_catalog_init(&catalog), 0);
	for (unsigned i = 0; i < 200; i++) {
		memset(&r, 0, sizeof(r));
		r.type = JT_REC_CREATE;
		r.number = i + 1;
		snprintf(c.id, sizeof(c.id), "jt_live_0123456789abc%03u", i);
		c.id[23] = (char)('0' + i % 10);
		memcpy(r.token.id, c.id, sizeof(r.token.id));
		memcpy(r.env, c.env, sizeof(r.env));
		cr_assert_eq(jt_catalog_apply(&catalog, &r, &fault), 0);
		cr_assert_eq(jt_notices_learn(&n, &catalog, &r), 0);
	}
	c = catalog.cards[150];
	c.expires_s = NOW + 5 * DAY;
	jt_notice_record(&c, 14, &r);
	cr_assert_eq(jt_notices_learn(&n, &catalog, &r), 0);
	jt_notice_record(&c, 7, &r);
	cr_assert_eq(memcmp(r.env, "live", 5), 0);
	cr_assert_eq(jt_notices_learn(&n, &catalog, &r), 0);
	cr_assert_eq(jt_notices_said(&n, 150).days, 7);
	cr_assert_eq(jt_notices_said(&n, 150).expires_s, NOW + 5 * DAY);
	cr_assert_eq(jt_notices_said(&n, 149).expires_s, 0);
	cr_assert_eq(jt_notices_said(&n, 100000).expires_s, 0);
	r.notice.id[8] = 'x'; /* nobody's */
	cr_assert_eq(jt_notices_learn(&n, &catalog, &r), 0);
	jt_notices_forget(&n);
	cr_assert_eq(jt_notices_said(&n, 150).expires_s, 0);
	jt_notices_deinit(&n);
	jt_catalog_deinit(&catalog);
}

Test(notice, an_event_fits_what_a_courier_takes)
{
	struct jt_card c = card(NOW + 5 * DAY);
	json_t *o;
	char *text;

	memset(c.name, '"', sizeof(c.name));
	memset(c.owner, '\\', sizeof(c.owner));
	o = jt_notice_event(&c, 7, NOW);
	cr_assert_str_eq(json_string_value(json_object_get(o, "key")),
			 "jt_live_0123456789abcdef:1795895809:7");
	cr_assert_str_eq(json_string_value(json_object_get(o, "status")),
			 "active");
	text = json_dumps(o, JSON_COMPACT);
	cr_assert(strlen(text) + 1 < JT_COURIER_TEXT);
	free(text);
	json_decref(o);
}

/* ---- courier ---- */

static bool give(const char *command, int timeout_ms)
{
	return jt_courier_give(command, "line\n", 5, timeout_ms, why);
}

Test(notice, a_command_that_takes_it)
{
	cr_assert(give("read x && test \"$x\" = line", 5000));
	cr_assert(give("true", 5000));
	cr_assert(give("exec 0<&-", 5000));
}

Test(notice, a_command_that_fails)
{
	cr_assert_not(give("exit 7", 5000));
	cr_assert_str_eq(why, "ended with 7");
	cr_assert_not(give("kill -9 $$", 5000));
	cr_assert_str_eq(why, "was ended by signal 9");
	cr_assert_not(give("/no/such/program 2>/dev/null", 5000));
	cr_assert_str_eq(why, "ended with 127");
}

Test(notice, a_command_that_hangs)
{
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	cr_assert_not(give("sleep 100 & sleep 100", 1000));
	clock_gettime(CLOCK_MONOTONIC, &b);
	cr_assert_str_eq(why, "had not ended after 1 s");
	cr_assert(b.tv_sec - a.tv_sec < 5);
}

Test(notice, the_longest_text_goes_into_the_pipe)
{
	static char text[JT_COURIER_TEXT];

	memset(text, 'x', sizeof(text));
	cr_assert(jt_courier_give("test $(wc -c) = 4096", text, sizeof(text),
				  5000, why));
	cr_assert(jt_courier_give("true", text, sizeof(text), 5000, why));
}
