/* fill: see fill.h. */
#include "bench/fill.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILL_CONNECTIONS 8
#define FILL_PIPELINE 128

static int run_once(const char *socket, const struct jt_requests *q,
		    struct jt_loadgen_result *result)
{
	struct jt_loadgen *lg;
	int r = jt_loadgen_open(socket, FILL_CONNECTIONS, &lg);

	if (r)
		return r;
	jt_loadgen_start(lg, q, FILL_PIPELINE, JT_ORDER_ONCE, 0);
	r = jt_loadgen_spin(lg, UINT64_MAX, result);
	jt_loadgen_close(lg);
	return r;
}

int jt_fill(const char *socket, const struct jt_tokens *tokens,
	    const char *before, const char *after, char want_type,
	    const char *want)
{
	struct jt_loadgen_result *result = calloc(1, sizeof(*result));
	struct jt_requests q = {0};
	int r = result ? 0 : -ENOMEM;

	if (!r)
		r = jt_tokens_render(tokens, before, after, &q);
	if (r)
		goto out;
	jt_scan_init(&result->scan, want_type, want);
	r = run_once(socket, &q, result);
	if (!r && result->scan.expected != tokens->n)
		r = -EPROTO;
	if (r)
		fprintf(stderr, "jeton-bench: filling %s: %s; it said: %s\n",
			socket, strerror(-r), result->scan.others[0].text);
out:
	jt_tokens_free_requests(&q);
	free(result);
	return r;
}
