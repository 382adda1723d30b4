/* scan: replies are counted alike, whether parsed or recognised by shape. */
#include "bench/scan.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct jt_scan scan;
static size_t taken;

static int feed(const char *text, size_t bytes)
{
	/* of exactly that length, so that a sanitizer sees a look beyond */
	uint8_t *copy = malloc(bytes ? bytes : 1);
	int r;

	memcpy(copy, text, bytes);
	r = jt_scan_feed(&scan, copy, bytes, &taken);
	free(copy);
	return r;
}

static void start(void)
{
	jt_scan_init(&scan, '$', "VALID");
}

TestSuite(scan, .init = start);

#define VERDICT(word, id, n)                                                   \
	"*4\r\n$" word "\r\n:200\r\n$4\r\n" id "\r\n:" n "\r\n"
#define GOOD VERDICT("5\r\nVALID", "abcd", "12")

Test(scan, a_shape_lets_other_ids_and_digits_pass)
{
	static const char text[] =
		GOOD VERDICT("5\r\nVALID", "\r\n*1", "99") GOOD;

	cr_assert_eq(feed(text, strlen(text)), 0);
	cr_expect_eq(scan.replies, 3);
	cr_expect_eq(scan.expected, 3);
	cr_expect_eq(scan.n_learned, 1);
	cr_expect_eq(taken, strlen(text));
	cr_expect_eq(scan.bytes, strlen(text));
}

Test(scan, another_answer_of_the_same_length_is_no_wanted_one)
{
	static const char text[] = GOOD VERDICT("5\r\nVALIE", "abcd", "12");

	cr_assert_eq(feed(text, strlen(text)), 0);
	cr_expect_eq(scan.replies, 2);
	cr_expect_eq(scan.expected, 1);
	cr_expect_eq(jt_scan_others(&scan, "VALIE"), 1);
	cr_expect_eq(jt_scan_others(&scan, "VALID"), 0);
}

Test(scan, other_answers_are_recognised_by_their_shapes_too)
{
	static const char text[] = GOOD VERDICT("4\r\nLATE", "abcd", "12")
		VERDICT("4\r\nLATE", "efgh", "34") GOOD;

	cr_assert_eq(feed(text, strlen(text)), 0);
	cr_expect_eq(scan.replies, 4);
	cr_expect_eq(scan.expected, 2);
	cr_expect_eq(scan.n_learned, 2);
	cr_expect_eq(jt_scan_others(&scan, "LATE"), 2);
}

Test(scan, numbers_of_other_lengths_are_other_shapes)
{
	static const char text[] = GOOD VERDICT("5\r\nVALID", "abcd", "123")
		VERDICT("5\r\nVALID", "abcd", "1") GOOD;

	cr_assert_eq(feed(text, strlen(text)), 0);
	cr_expect_eq(scan.replies, 4);
	cr_expect_eq(scan.expected, 4);
	cr_expect_eq(scan.n_learned, 3);
}

/* `:-1` behind `:12` has the same length */
Test(scan, a_sign_is_not_taken_for_a_digit)
{
	static const char text[] = GOOD VERDICT("5\r\nVALID", "abcd", "-1");

	cr_assert_eq(feed(text, strlen(text)), 0);
	cr_expect_eq(scan.expected, 2);
	cr_expect_eq(scan.n_learned, 2);
}

Test(scan, a_reply_cut_anywhere_is_left_for_later)
{
	for (size_t n = 0; n < strlen(GOOD); n++) {
		start();
		cr_assert_eq(feed(GOOD GOOD, strlen(GOOD) + n), 0);
		cr_expect_eq(taken, strlen(GOOD), "%zu", n);
		cr_expect_eq(scan.replies, 1);
	}
}

Test(scan, without_a_wanted_text_every_value_counts_and_nil_does_not)
{
	static const char text[] = "$5\r\nfirst\r\n$5\r\nother\r\n$-1\r\n";

	jt_scan_init(&scan, '$', NULL);
	cr_assert_eq(feed(text, strlen(text)), 0);
	cr_expect_eq(scan.expected, 2);
	cr_expect_eq(jt_scan_others(&scan, "nil"), 1);
}

Test(scan, an_error_in_the_midst_is_counted_as_such)
{
	static const char text[] = GOOD "-ERR no\r\n" GOOD;

	cr_assert_eq(feed(text, strlen(text)), 0);
	cr_expect_eq(scan.expected, 2);
	cr_expect_eq(scan.errors, 1);
	cr_expect_eq(jt_scan_others(&scan, "-ERR no"), 1);
}

Test(scan, what_is_no_reply_is_refused_behind_a_shape_too)
{
	static const char *const bad[] = {"hello\r\n", "$x\r\n", "*-7\r\n"};

	for (unsigned i = 0; i < 3; i++) {
		char text[128];

		start();
		snprintf(text, sizeof(text), "%s%s", GOOD, bad[i]);
		cr_expect_eq(feed(text, strlen(text)), -EPROTO, "%s", bad[i]);
	}
}

/* ---- memcached ---- */

#define HIT "VA 5\r\nVALID\r\n"

Test(scan, of_memcached_the_value_is_the_answer)
{
	static const char text[] = HIT "EN\r\n" HIT "VA 2 t1\r\n\r\n\r\n";

	jt_scan_init(&scan, 'M', "VALID");
	cr_assert_eq(feed(text, strlen(text)), 0);
	cr_expect_eq(taken, strlen(text));
	cr_expect_eq(scan.replies, 4);
	cr_expect_eq(scan.expected, 2);
	cr_expect_eq(jt_scan_others(&scan, "EN"), 1);
}

Test(scan, a_cut_reply_of_memcached_is_left_for_later)
{
	for (size_t n = 0; n < strlen(HIT); n++) {
		jt_scan_init(&scan, 'M', "VALID");
		cr_assert_eq(feed(HIT HIT, strlen(HIT) + n), 0);
		cr_expect_eq(taken, strlen(HIT));
		cr_expect_eq(scan.replies, 1);
	}
}

Test(scan, what_memcached_does_not_say_is_refused)
{
	static const char *const bad[] = {
		"VA x\r\nVALID\r\n",  "VA \r\nVALID\r\n", "VA 5\r\nVALIDxx",
		"VA 99999999999\r\n", "END\rx",
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		jt_scan_init(&scan, 'M', "VALID");
		cr_expect_eq(feed(bad[i], strlen(bad[i])), -EPROTO, "%s",
			     bad[i]);
	}
}
