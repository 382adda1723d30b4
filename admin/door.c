/* door: see door.h. */
#include "admin/door.h"
#include "admin/control.h"
#include "admin/output.h"

#include <errno.h>
#include <string.h>

#define CONNECT_S 2
#define REPLY_S 5

/* The RESP socket stands beside the control socket of who serves DATA. */
redisContext *jt_door_open(const struct jt_paths *p, char why[JT_WHY_MAX])
{
	const struct timeval connect_tv = {CONNECT_S, 0},
			     reply_tv = {REPLY_S, 0};
	struct sockaddr_un address;
	char dir[PATH_MAX];
	redisContext *ctx;

	if (p->run_given || !jt_control_where(p->data, dir))
		strcpy(dir, p->run);
	if (jt_paths_socket(dir, JT_RESP_NAME, &address) < 0) {
		snprintf(why, JT_WHY_MAX, "the socket's path is too long");
		return NULL;
	}
	ctx = redisConnectUnixWithTimeout(address.sun_path, connect_tv);
	if (!ctx || ctx->err || redisSetTimeout(ctx, reply_tv) != REDIS_OK) {
		snprintf(why, JT_WHY_MAX, "%s: %s", address.sun_path,
			 ctx ? ctx->errstr : strerror(ENOMEM));
		if (ctx)
			redisFree(ctx);
		return NULL;
	}
	return ctx;
}

int jt_door_closed(const char *why)
{
	return jt_fail(JT_EXIT_SIDECAR,
		       "the sidecar cannot be reached (%s); start jetond, or "
		       "check --run",
		       why);
}

int jt_door_refused(const char *error, const char *verb)
{
	static const char syntax[] = "ERR syntax error: ";

	if (strncmp(error, syntax, sizeof(syntax) - 1) == 0)
		return jt_fail(JT_EXIT_USAGE, "%s; see `jeton help %s`",
			       error + sizeof(syntax) - 1, verb);
	return jt_fail(strncmp(error, "NOPERM", 6) == 0 ? JT_EXIT_FILE
							: JT_EXIT_SIDECAR,
		       "the sidecar gave no answer: %s; see `jeton status`",
		       error);
}
