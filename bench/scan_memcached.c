/* scan_memcached: see scan_memcached.h. */
#include "bench/scan_memcached.h"

#include <errno.h>
#include <string.h>

#define LINE_MAX_BYTES 1024
#define VALUE "VA "
#define VALUE_BYTES (sizeof(VALUE) - 1)
#define DIGITS_MAX 7

/* The number that begins at AT and ends with a blank or CR; else -1. */
static long value_bytes(const uint8_t *at, const uint8_t *cr)
{
	const uint8_t *first = at;
	long n = 0;

	for (; at < cr && *at != ' '; at++) {
		if (*at < '0' || *at > '9' || at - first == DIGITS_MAX)
			return -1;
		n = n * 10 + (*at - '0');
	}
	return at > first ? n : -1;
}

int jt_scan_memcached(const uint8_t *at, const uint8_t *end,
		      const uint8_t **nextp, const uint8_t **answerp,
		      size_t *bytesp)
{
	const uint8_t *cr = memchr(at, '\r', (size_t)(end - at));
	long n;

	if (!cr || end - cr < 2)
		return end - at > LINE_MAX_BYTES ? -EPROTO : 1;
	if (cr[1] != '\n')
		return -EPROTO;
	*nextp = cr + 2;
	*answerp = at;
	*bytesp = (size_t)(cr - at);
	if (*bytesp < VALUE_BYTES || memcmp(at, VALUE, VALUE_BYTES) != 0)
		return 0;
	n = value_bytes(at + VALUE_BYTES, cr);
	if (n < 0)
		return -EPROTO;
	if (end - *nextp < n + 2)
		return 1;
	*answerp = *nextp;
	*bytesp = (size_t)n;
	*nextp += n + 2;
	return memcmp(*answerp + n, "\r\n", 2) == 0 ? 0 : -EPROTO;
}
