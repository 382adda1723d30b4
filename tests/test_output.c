/* output: escaping, widths, masks, sheets, lost answers. */
#include "admin/output.h"
#include "admin/advice.h"
#include "shm/verify.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <signal.h>
#include <unistd.h>

static void shows(enum jt_style style, const char *text, size_t bytes,
		  const char *want)
{
	char *got = NULL;
	size_t n;
	FILE *out = open_memstream(&got, &n);

	jt_put_text(out, style, text, bytes);
	fclose(out);
	cr_assert_str_eq(got, want);
	free(got);
}

Test(output, leaves_text_alone)
{
	shows(JT_STYLE_TABLE, "Prüfstand, \"a\" \\ b", 64,
	      "Prüfstand, \"a\" \\ b");
	shows(JT_STYLE_TABLE, "", 64, "");
	shows(JT_STYLE_TABLE, "abcdef", 3, "abc");
}

Test(output, escapes_what_acts_on_a_terminal)
{
	shows(JT_STYLE_TABLE, "\x1b[2J", 64, "\\x1b[2J");
	shows(JT_STYLE_TABLE, "a\nb\tc\r", 64, "a\\x0ab\\x09c\\x0d");
	shows(JT_STYLE_TABLE, "\xc2\x9b", 64, "\\xc2\\x9b");
	shows(JT_STYLE_TABLE, "\xe2\x80\xae", 64, "\\xe2\\x80\\xae");
	shows(JT_STYLE_TABLE, "a\xff\xc3", 64, "a\\xff\\xc3");
}

static void cell_is(const char *text, size_t bytes, size_t width,
		    const char *want)
{
	char got[JT_CELL_BYTES(64, 64) + 1];
	size_t n = jt_text_cell(text, bytes, width, got);

	got[n] = '\0';
	cr_expect_str_eq(got, want);
	cr_expect_eq(jt_text_width(got, n), width);
	cr_expect_leq(n, JT_CELL_BYTES(bytes, width));
}

Test(output, cell_is_filled_up_or_cut)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	cell_is("abc", 64, 5, "abc  ");
	cell_is("abc", 64, 3, "abc");
	cell_is("abcd", 64, 3, "ab…");
	cell_is("abcd", 64, 1, "…");
	cell_is("", 64, 2, "  ");
	cell_is("abcdef", 3, 4, "abc ");
	cell_is("Prüfstand", 64, 5, "Prüf…");
	cell_is("日本語", 64, 6, "日本語");
	cell_is("日本語", 64, 5, "日本…");
	cell_is("日本語", 64, 4, "日… "); /* half a character is none */
}

Test(output, cell_escapes_before_it_cuts)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	cell_is("\x1b[2J", 64, 7, "\\x1b[2J");
	cell_is("\x1b[2J", 64, 6, "\\x1b[…");
	cell_is("\x1b[2J", 64, 4, "…   ");
	/* as many columns as bytes, and yet not to be shown as it is */
	cell_is("\n日日日", 64, 10, "\\x0a日日日");
	cell_is("\xff\xff", 64, 9, "\\xff\\xff ");
}

static void wraps(const char *text, size_t used, size_t indent, size_t width,
		  const char *want)
{
	char *got = NULL;
	size_t n;
	FILE *out = open_memstream(&got, &n);

	jt_put_wrapped(out, text, indent, width, &used);
	fclose(out);
	cr_expect_str_eq(got, want);
	free(got);
}

Test(output, long_text_is_broken_at_blanks)
{
	wraps("one two three", 0, 2, 80, "one two three");
	wraps("one two three", 0, 2, 7, "one two\n  three");
	wraps("one two three", 4, 2, 7, "one\n  two\n  three");
	wraps("one  two", 0, 0, 80, "one  two");
	wraps("one  two", 0, 0, 7, "one\ntwo");
	wraps("muchtoolong x", 0, 2, 5, "muchtoolong\n  x");
	wraps("x muchtoolong", 2, 2, 5, "x\n  muchtoolong");
	wraps("a\nb \x1b[m", 0, 1, 9, "a\\x0ab\n \\x1b[m");
	wraps("", 0, 2, 5, "");
}

Test(output, tsv_reads_back)
{
	shows(JT_STYLE_TSV, "a\tb\\x09", 64, "a\\x09b\\x5cx09");
}

Test(output, knows_widths)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	cr_assert_eq(jt_text_width("abc", 64), 3);
	cr_assert_eq(jt_text_width("Prüf", 64), 4);
	cr_assert_eq(jt_text_width("日本", 64), 4);
	cr_assert_eq(jt_text_width("e\xcc\x81", 64), 1); /* combining */
	cr_assert_eq(jt_text_width("\x1b", 64), 4);
	cr_assert_eq(jt_text_width("\xff\xff", 64), 8);
	cr_assert_eq(jt_text_width("abcdef", 2), 2);
}

Test(output, masks_the_secret)
{
	char text[JT_MASK_TEXT];

	jt_mask("jt_live_AAAAAAAAAAAAAAAASECRETSECRET", text);
	cr_assert_str_eq(text, "jt_live_AAAAAAAAAAAAAAAA****");
}

Test(output, json_takes_any_bytes)
{
	json_t *v = jt_json_text("Prüf\"\n", 64);

	cr_assert_str_eq(json_string_value(v), "Prüf\"\n");
	json_decref(v);
	v = jt_json_text("a\xff", 64);
	cr_assert_str_eq(json_string_value(v), "a\\xff");
	json_decref(v);
	v = jt_json_text("abcdef", 3);
	cr_assert_str_eq(json_string_value(v), "abc");
	json_decref(v);
}

/* Run FN with stdout going to a temporary file; its text. */
static char *capture(void (*fn)(void))
{
	static char text[4096];
	char name[] = "/tmp/jeton-output-XXXXXX";
	int fd = mkstemp(name), old = dup(STDOUT_FILENO);
	ssize_t n;

	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	fn();
	fflush(stdout);
	dup2(old, STDOUT_FILENO);
	close(old);
	n = pread(fd, text, sizeof(text) - 1, 0);
	text[n < 0 ? 0 : n] = '\0';
	close(fd);
	unlink(name);
	return text;
}

static void put_sheet(bool json)
{
	struct jt_sheet s;

	jt_sheet_begin(&s, json);
	jt_sheet_text(&s, "name", "Name", "a\tb", "for humans");
	jt_sheet_number(&s, "uses", "Uses", -7, NULL);
	jt_sheet_flag(&s, "ok", "Ok", true);
	jt_sheet_end(&s);
}

static void plain(void)
{
	put_sheet(false);
}

static void json(void)
{
	json_set_alloc_funcs(jt_wiping_malloc, jt_wiping_free);
	put_sheet(true);
}

Test(output, sheet_is_tabs_when_piped)
{
	cr_assert_str_eq(capture(plain), "name\ta\\x09b\nuses\t-7\nok\tyes\n");
}

Test(output, sheet_is_json_when_asked)
{
	cr_assert_str_eq(capture(json),
			 "{\"name\":\"a\\tb\",\"uses\":-7,\"ok\":true}\n");
}

Test(output, write_all_tells_a_closed_reader)
{
	int fd[2];

	signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(pipe2(fd, O_CLOEXEC), 0);
	cr_assert_eq(jt_write_all(fd[1], "abc", 3), 0);
	close(fd[0]);
	cr_assert_eq(jt_write_all(fd[1], "abc", 3), -EPIPE);
	close(fd[1]);
	cr_assert_eq(jt_write_all(fd[1], "abc", 3), -EBADF);
}

Test(output, a_full_device_is_noticed)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	cr_assert(fd >= 0);
	cr_assert_eq(jt_write_all(fd, "abc", 3), -ENOSPC);
	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	close(fd);
	printf("lost\n");
	cr_assert_eq(jt_stdout_close(), -ENOSPC);
	/* the number stays taken, and a second call says nothing new */
	cr_assert(fcntl(STDOUT_FILENO, F_GETFD) >= 0);
	cr_assert_eq(jt_stdout_close(), 0);
}

Test(output, failures_are_one_line)
{
	char text[2048];
	int fd[2], old = dup(STDERR_FILENO), code;
	ssize_t n;

	cr_assert_eq(pipe2(fd, O_CLOEXEC), 0);
	dup2(fd[1], STDERR_FILENO);
	code = jt_fail(JT_EXIT_USAGE, "a%sb%s", "\n\x1b[2J", "\x7f");
	dup2(old, STDERR_FILENO);
	n = read(fd[0], text, sizeof(text) - 1);
	text[n] = '\0';
	cr_assert_eq(code, 2);
	cr_assert_str_eq(text, "jeton: a??[2Jb?\n");
}

Test(output, endless_failures_are_cut)
{
	char big[5000], text[4096];
	int fd[2], old = dup(STDERR_FILENO);
	ssize_t n;

	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	cr_assert_eq(pipe2(fd, O_CLOEXEC), 0);
	dup2(fd[1], STDERR_FILENO);
	jt_note("%s", big);
	dup2(old, STDERR_FILENO);
	n = read(fd[0], text, sizeof(text));
	cr_assert(n > 100 && n <= 1024);
	cr_assert_eq(text[n - 1], '\n');
}

Test(output, wiping_memory_is_memory)
{
	char *p = jt_wiping_malloc(100);

	cr_assert_not_null(p);
	cr_assert_eq((uintptr_t)p % 16, 0);
	memset(p, 1, 100);
	jt_wiping_free(p);
	jt_wiping_free(NULL);
	cr_assert_null(jt_wiping_malloc(SIZE_MAX - 3));
}

Test(output, every_verdict_has_advice)
{
#define X(name, status)                                                        \
	cr_assert_null(strstr(jt_advice(#name, ""), "does not know"), "%s",    \
		       #name);
	JT_WORDS(X)
#undef X
	cr_assert_not_null(strstr(jt_advice("NEW_WORD", ""), "not know"));
	cr_assert_not_null(
		strstr(jt_advice("RATE_LIMITED", "NEVER"), "will not help"));
	cr_assert_not_null(strstr(jt_advice("VALID", "EXPIRING"), "7 days"));
	cr_assert_not_null(
		strstr(jt_advice("REVOKED", "OLD_VALUE"), "rotation"));
}
