/*
 * scan_http: counts complete HTTP replies without a body, as scan.h does RESP.
 *
 * The answer of a reply is its status, `200`. A reply that has a body is
 * -EPROTO: neither the door that is measured nor its floor sends one.
 */
#ifndef JT_BENCH_SCAN_HTTP_H
#define JT_BENCH_SCAN_HTTP_H

#include <stddef.h>
#include <stdint.h>

/*
 * One reply from AT on. 0, its end in *NEXTP and its three digits in *STATUSP;
 * 1: it goes on behind END; -EPROTO.
 */
int jt_scan_http(const uint8_t *at, const uint8_t *end, const uint8_t **nextp,
		 const uint8_t **statusp);

#endif
