/*
 * scan_memcached: counts complete replies of memcached's meta commands, as
 * scan.h does RESP.
 *
 * The answer of `mg KEY v` is its value, `EN` if there is none; of anything
 * else its line.
 */
#ifndef JT_BENCH_SCAN_MEMCACHED_H
#define JT_BENCH_SCAN_MEMCACHED_H

#include <stddef.h>
#include <stdint.h>

/*
 * One reply from AT on. 0, its end in *NEXTP and its answer in *ANSWERP and
 * *BYTESP; 1: it goes on behind END; -EPROTO.
 */
int jt_scan_memcached(const uint8_t *at, const uint8_t *end,
		      const uint8_t **nextp, const uint8_t **answerp,
		      size_t *bytesp);

#endif
