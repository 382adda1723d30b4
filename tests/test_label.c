/* label: what may stand in a name, and UTF-8 to the letter of RFC 3629. */
#include "admin/label.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <string.h>

static int check(const char *text)
{
	return jt_label_check(text, strlen(text), 64);
}

Test(label, takes_text)
{
	cr_assert_eq(check("a"), 0);
	cr_assert_eq(check("Production API"), 0);
	cr_assert_eq(check("Prüfstand „Süd“ №5"), 0);
	cr_assert_eq(check("日本語"), 0);
	cr_assert_eq(check("👩‍🚀 rocket"), 0);
	cr_assert_eq(check(" a, \"b\" \\ c "), 0);
	cr_assert_eq(check("\xf4\x8f\xbf\xbd"), 0); /* U+10FFFD */
}

Test(label, counts_bytes)
{
	char text[66];

	memset(text, 'x', sizeof(text));
	cr_assert_eq(jt_label_check(text, 64, 64), 0);
	cr_assert_eq(jt_label_check(text, 65, 64), JT_LABEL_E_LONG);
	cr_assert_eq(jt_label_check(text, 0, 64), JT_LABEL_E_EMPTY);
	memcpy(text + 62, "ü", 2);
	cr_assert_eq(jt_label_check(text, 64, 64), 0);
	memcpy(text + 63, "ü", 2);
	cr_assert_eq(jt_label_check(text, 64, 64), JT_LABEL_E_UTF8);
}

Test(label, refuses_what_acts_on_a_screen)
{
	static const char *const texts[] = {
		"\x1b[31mred",
		"a\nb",
		"a\tb",
		"a\rb",
		"\x7f",
		"bell\a",
		"\xc2\x80", /* C1 */
		"\xc2\x9b"
		"31m", /* CSI */
		"\xc2\x9f",
		"\xe2\x80\xa8",
		"\xe2\x80\xa9", /* separators */
		"\xe2\x80\xaa",
		"\xe2\x80\xae", /* embedding, override */
		"\xe2\x81\xa6",
		"\xe2\x81\xa9", /* isolates */
		"\xe2\x80\x8e",
		"\xe2\x80\x8f", /* marks */
		"\xef\xbb\xbf"
		"bom",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_assert_eq(check(texts[i]), JT_LABEL_E_CONTROL, "%zu", i);
	cr_assert_eq(jt_label_check("a\0b", 3, 64), JT_LABEL_E_CONTROL);
}

Test(label, keeps_neighbours_of_what_it_refuses)
{
	cr_assert_eq(check("\xc2\xa0"), 0);	/* no-break space */
	cr_assert_eq(check("\xe2\x80\x8d"), 0); /* joiner, for emoji */
	cr_assert_eq(check("\xe2\x80\xa7"), 0);
	cr_assert_eq(check("\xe2\x80\xaf"), 0);
	cr_assert_eq(check("\xe2\x81\xaa"), 0);
	cr_assert_eq(check("~"), 0);
}

Test(label, refuses_broken_utf8)
{
	static const char *const texts[] = {
		"\x80",
		"\xbf",
		"a\xff",
		"\xfe",
		"\xc0\x80",
		"\xc1\xbf", /* overlong, 2 */
		"\xe0\x80\x80",
		"\xe0\x9f\xbf", /* overlong, 3 */
		"\xf0\x80\x80\x80",
		"\xf0\x8f\xbf\xbf", /* overlong, 4 */
		"\xed\xa0\x80",
		"\xed\xbf\xbf", /* surrogates */
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80", /* too high */
		"\xc3",
		"\xe2\x82",
		"\xf0\x9f\x98", /* cut off */
		"\xc3(",
		"\xe2\x82(",
		"\xf0\x9f\x98(",
		"\xf8\x88\x80\x80\x80",
		"latin1 \xfc",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_assert_eq(check(texts[i]), JT_LABEL_E_UTF8, "%zu", i);
}

/* Write one code point as RFC 3629 says. */
static size_t encode(uint32_t point, char *out)
{
	if (point < 0x80) {
		out[0] = (char)point;
		return 1;
	}
	size_t n = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
	static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = n; i-- > 1; point >>= 6)
		out[i] = (char)(0x80 | (point & 0x3f));
	out[0] = (char)(first[n] | point);
	return n;
}

Test(label, decodes_every_code_point)
{
	char text[4];
	uint32_t got;

	for (uint32_t point = 0; point <= 0x10ffff; point++) {
		size_t n = encode(point, text);
		bool surrogate = point >= 0xd800 && point <= 0xdfff;

		cr_assert_eq(jt_utf8_next(text, n, &got), surrogate ? 0 : n);
		if (!surrogate)
			cr_assert_eq(got, point);
		if (n > 1)
			cr_assert_eq(jt_utf8_next(text, n - 1, &got), 0);
	}
}

Test(label, says_why)
{
	char text[80];

	for (int e = JT_LABEL_E_EMPTY; e <= JT_LABEL_E_CONTROL; e++) {
		jt_label_why(e, 48, text, sizeof(text));
		cr_assert(strlen(text) > 5);
	}
	jt_label_why(JT_LABEL_E_LONG, 48, text, sizeof(text));
	cr_assert_str_eq(text, "is longer than 48 bytes");
}
