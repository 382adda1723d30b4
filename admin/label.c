/* label: see label.h. UTF-8 by the table of RFC 3629, section 4. */
#include "admin/label.h"

#include <stdio.h>

static int is_tail(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

/* Length by the first byte; 0: no character begins with it. */
static size_t length(uint8_t byte)
{
	if (byte < 0x80)
		return 1;
	if (byte < 0xc2 || byte > 0xf4)
		return 0;
	return byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

size_t jt_utf8_next(const char *text, size_t bytes, uint32_t *pointp)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	static const uint8_t bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	size_t n = bytes ? length((uint8_t)text[0]) : 0;
	uint32_t point;

	if (n == 0 || n > bytes)
		return 0;
	point = (uint8_t)text[0] & bits[n];
	for (size_t i = 1; i < n; i++) {
		if (!is_tail((uint8_t)text[i]))
			return 0;
		point = point << 6 | ((uint8_t)text[i] & 0x3f);
	}
	if (point < least[n] || point > 0x10ffff)
		return 0;
	if (point >= 0xd800 && point <= 0xdfff)
		return 0;
	*pointp = point;
	return n;
}

int jt_utf8_printable(uint32_t point)
{
	static const uint32_t hostile[][2] = {
		{0x0000, 0x001f}, /* C0 */
		{0x007f, 0x009f}, /* DEL, C1 */
		{0x200e, 0x200f}, /* direction marks */
		{0x2028, 0x202e}, /* separators, embeddings, overrides */
		{0x2066, 0x2069}, /* isolates */
		{0xfeff, 0xfeff}, /* byte order mark */
	};

	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++)
		if (point >= hostile[i][0] && point <= hostile[i][1])
			return 0;
	return 1;
}

int jt_label_check(const char *text, size_t bytes, size_t bytes_max)
{
	uint32_t point;
	size_t n;

	if (bytes == 0)
		return JT_LABEL_E_EMPTY;
	if (bytes > bytes_max)
		return JT_LABEL_E_LONG;
	for (size_t at = 0; at < bytes; at += n) {
		n = jt_utf8_next(text + at, bytes - at, &point);
		if (n == 0)
			return JT_LABEL_E_UTF8;
		if (!jt_utf8_printable(point))
			return JT_LABEL_E_CONTROL;
	}
	return 0;
}

void jt_label_why(int e, size_t bytes_max, char *out, size_t out_bytes)
{
	switch (e) {
	case JT_LABEL_E_EMPTY:
		snprintf(out, out_bytes, "is empty");
		return;
	case JT_LABEL_E_LONG:
		snprintf(out, out_bytes, "is longer than %zu bytes", bytes_max);
		return;
	case JT_LABEL_E_UTF8:
		snprintf(out, out_bytes, "is not valid UTF-8");
		return;
	default:
		snprintf(out, out_bytes,
			 "holds a control or text-direction character");
	}
}
