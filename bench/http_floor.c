/* http_floor: see http_floor.h. */
#include "bench/http_floor.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stddef.h>
#include <unistd.h>

static const char *const fields[][2] = {
	{"X-Jeton-Id", "jt_live_0123456789abcdef"},
	{"X-Jeton-Owner", "bench"},
	{"X-Jeton-Scopes", ""},
	{"X-Jeton-Env", "live"},
	{"X-Jeton-Expires-In", "7776000"},
	{"X-Jeton-Verdict", "VALID"},
	{"RateLimit-Policy", "\"default\";q=1000;w=1"},
	{"RateLimit", "\"default\";r=999;t=1"},
};

static enum MHD_Result answer(void *ctx, struct MHD_Connection *connection,
			      const char *url, const char *method,
			      const char *version, const char *upload,
			      size_t *upload_bytesp, void **requestp)
{
	if (!*requestp) {
		*requestp = ctx;
		return MHD_YES;
	}
	return MHD_queue_response(connection, MHD_HTTP_OK, ctx);
}

int jt_http_floor_serve(void *arg)
{
	static char nothing[1];
	const int *listener = arg;
	struct MHD_Response *same = MHD_create_response_from_buffer(
		0, nothing, MHD_RESPMEM_PERSISTENT);
	struct MHD_Daemon *d;

	for (unsigned i = 0; same && i < sizeof(fields) / sizeof(fields[0]);
	     i++)
		MHD_add_response_header(same, fields[i][0], fields[i][1]);
	fcntl(*listener, F_SETFL, O_NONBLOCK);
	d = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL,
			     answer, same, MHD_OPTION_LISTEN_SOCKET, *listener,
			     MHD_OPTION_END);
	if (!same || !d)
		return -EPROTO;
	for (;;)
		pause();
}
