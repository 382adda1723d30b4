/* redis: see redis.h. */
#include "bench/redis.h"

#include "bench/ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILL_CONNECTIONS 8
#define FILL_PIPELINE 128
#define PING "*1\r\n$4\r\nPING\r\n"
#define INFO "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"

/* The script stays a file of its own; the linker carries it along. */
__asm__(".pushsection .rodata\n"
	"verify_lua: .incbin \"bench/verify.lua\"\n"
	"verify_lua_end: .byte 0\n"
	".popsection\n");
extern const char verify_lua[], verify_lua_end[];

int jt_redis_start(struct jt_process *p, int cpu, const char *dir,
		   const char *name, char socket[108])
{
	char log[160];
	const char *const argv[] = {
		"redis-server",
		"--port",
		"0",
		"--unixsocket",
		socket,
		"--dir",
		dir,
		"--save",
		"",
		"--appendonly",
		"no",
		"--daemonize",
		"no",
		"--loglevel",
		"notice",
		NULL,
	};
	int r;

	snprintf(socket, 108, "%.90s/%s.sock", dir, name);
	snprintf(log, sizeof(log), "%.90s/%s.log", dir, name);
	r = jt_process_exec(p, cpu, log, argv);
	if (!r)
		r = jt_ask_until(p, socket, PING, strlen(PING), "+PONG");
	if (!r || r == -EINTR)
		return r;
	fprintf(stderr, "jeton-bench: redis-server does not start: %s\n",
		strerror(-r));
	fprintf(stderr, "(Debian: apt-get install redis-server; or choose "
			"without it: --subjects floor,jeton)\n");
	jt_process_show_log(p);
	return r;
}

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

int jt_redis_fill(const char *socket, const struct jt_tokens *tokens,
		  const char *before, const char *after, const char *want)
{
	struct jt_loadgen_result *result = calloc(1, sizeof(*result));
	struct jt_requests q = {0};
	int r = result ? 0 : -ENOMEM;

	if (!r)
		r = jt_tokens_render(tokens, before, after, &q);
	if (r)
		goto out;
	jt_scan_init(&result->scan, want[0] == ':' ? ':' : '+',
		     want + (want[0] == ':'));
	r = run_once(socket, &q, result);
	if (!r && result->scan.expected != tokens->n)
		r = -EPROTO;
	if (r)
		fprintf(stderr, "jeton-bench: filling Redis: %s; it said: %s\n",
			strerror(-r), result->scan.others[0].text);
out:
	jt_tokens_free_requests(&q);
	free(result);
	return r;
}

int jt_redis_load_script(const char *socket, char sha[41])
{
	size_t bytes = (size_t)(verify_lua_end - verify_lua);
	char *request = malloc(bytes + 64), reply[512] = "";
	int n, r;

	if (!request)
		return -ENOMEM;
	n = sprintf(request, "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$%zu\r\n",
		    bytes);
	memcpy(request + n, verify_lua, bytes);
	memcpy(request + n + bytes, "\r\n", 2);
	r = jt_ask_once(socket, request, (size_t)n + bytes + 2, reply,
			sizeof(reply));
	free(request);
	if (!r && sscanf(reply, "$40\r\n%40[0-9a-f]", sha) != 1)
		r = -EPROTO;
	if (r)
		fprintf(stderr, "jeton-bench: SCRIPT LOAD: %s %s\n",
			strerror(-r), reply);
	return r;
}

void jt_redis_version(const char *socket, char *out, size_t out_bytes)
{
	const char key[] = "redis_version:";
	char reply[4096];
	const char *at;

	out[0] = '\0';
	if (jt_ask_once(socket, INFO, strlen(INFO), reply, sizeof(reply)))
		return;
	at = strstr(reply, key);
	if (!at)
		return;
	at += strlen(key);
	snprintf(out, out_bytes, "%.*s", (int)strcspn(at, "\r\n"), at);
}
