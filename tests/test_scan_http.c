/* scan_http: which bytes are a reply, and what is none. */
#include "bench/scan.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define OK "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 0\r\n\r\n"
#define NO "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"

static struct jt_scan scan;
static size_t taken;

static int feed(const char *text, size_t bytes)
{
	return jt_scan_feed(&scan, (const uint8_t *)text, bytes, &taken);
}

static void start(void)
{
	jt_scan_init(&scan, 'H', "200");
}

TestSuite(scan_http, .init = start);

Test(scan_http, replies_are_counted_by_their_status)
{
	cr_assert_eq(feed(OK NO OK, strlen(OK NO OK)), 0);
	cr_expect_eq(taken, strlen(OK NO OK));
	cr_expect_eq(scan.replies, 3);
	cr_expect_eq(scan.expected, 2);
	cr_expect_eq(scan.bytes, taken);
	cr_assert_eq(scan.n_others, 1);
	cr_expect_str_eq(scan.others[0].text, "401");
}

Test(scan_http, a_cut_reply_is_left_for_later)
{
	for (size_t n = 0; n < strlen(OK); n++) {
		start();
		cr_assert_eq(feed(NO OK, strlen(NO) + n), 0);
		cr_expect_eq(taken, strlen(NO));
		cr_expect_eq(scan.replies, 1);
	}
}

Test(scan_http, what_is_no_reply_without_a_body_is_refused)
{
	static const char *const bad[] = {
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
		"+OK\r\n\r\n",
		"HTTP/1.1 2\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		start();
		cr_expect_eq(feed(bad[i], strlen(bad[i])), -EPROTO, "%s",
			     bad[i]);
		cr_expect_eq(scan.replies, 0);
	}
}
