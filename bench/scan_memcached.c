/* scan_memcached: see scan_memcached.h. */
#include "bench/scan_memcached.h"

#include <errno.h>
#include <string.h>

#define LINE_MAX_BYTES 1024
#define VALUE "VALUE "
#define VALUE_BYTES (sizeof(VALUE) - 1)
#define TAIL "\r\nEND\r\n"
#define TAIL_BYTES (sizeof(TAIL) - 1)

/* The number that ends the line before CR: how long the value is; else -1. */
static long value_bytes(const uint8_t *at, const uint8_t *cr)
{
	const uint8_t *digit = cr;
	long n = 0, unit = 1;

	while (digit > at && digit[-1] >= '0' && digit[-1] <= '9') {
		if (unit > 1000000)
			return -1;
		n += (*--digit - '0') * unit;
		unit *= 10;
	}
	return digit < cr && digit > at && digit[-1] == ' ' ? n : -1;
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
	if (end - *nextp < n + (long)TAIL_BYTES)
		return 1;
	*answerp = *nextp;
	*bytesp = (size_t)n;
	*nextp += n + (long)TAIL_BYTES;
	return memcmp(*answerp + n, TAIL, TAIL_BYTES) == 0 ? 0 : -EPROTO;
}
