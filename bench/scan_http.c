/* scan_http: see scan_http.h. */
#include "bench/scan_http.h"

#include <errno.h>
#include <string.h>

#define FIRST "HTTP/1.1 "
#define FIRST_BYTES (sizeof(FIRST) - 1)
#define HEAD_MAX 16384
#define EMPTY "Content-Length: 0\r\n"

int jt_scan_http(const uint8_t *at, const uint8_t *end, const uint8_t **nextp,
		 const uint8_t **statusp)
{
	const uint8_t *stop = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);

	if (!stop)
		return end - at > HEAD_MAX ? -EPROTO : 1;
	if ((size_t)(stop - at) < FIRST_BYTES + 3 ||
	    memcmp(at, FIRST, FIRST_BYTES) != 0 ||
	    !memmem(at, (size_t)(stop - at) + 2, EMPTY, sizeof(EMPTY) - 1))
		return -EPROTO;
	*statusp = at + FIRST_BYTES;
	*nextp = stop + 4;
	return 0;
}
