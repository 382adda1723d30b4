/* redis: see redis.h. */
#include "bench/redis.h"

#include "bench/ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PING "*1\r\n$4\r\nPING\r\n"
#define INFO "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"

/* The scripts stay files of their own; the linker carries them along. */
__asm__(".pushsection .rodata\n"
	"verify_lua: .incbin \"bench/verify.lua\"\n"
	"verify_lua_end: .byte 0\n"
	"packed_lua: .incbin \"bench/verify_packed.lua\"\n"
	"packed_lua_end: .byte 0\n"
	".popsection\n");
extern const char verify_lua[], verify_lua_end[];
extern const char packed_lua[], packed_lua_end[];

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
		r = jt_ask_until(p, socket, '+', PING, strlen(PING), "PONG");
	if (!r || r == -EINTR)
		return r;
	fprintf(stderr, "jeton-bench: redis-server does not start: %s\n",
		strerror(-r));
	fprintf(stderr, "(Debian: apt-get install redis-server; or choose "
			"without it: --subjects floor,jeton)\n");
	jt_process_show_log(p);
	return r;
}

int jt_redis_load_script(const char *socket, enum jt_redis_script which,
			 char sha[41])
{
	bool packed = which == JT_REDIS_PACKED;
	const char *script = packed ? packed_lua : verify_lua;
	size_t bytes =
		(size_t)((packed ? packed_lua_end : verify_lua_end) - script);
	char *request = malloc(bytes + 64), reply[512] = "";
	int n, r;

	if (!request)
		return -ENOMEM;
	n = sprintf(request, "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$%zu\r\n",
		    bytes);
	memcpy(request + n, script, bytes);
	memcpy(request + n + bytes, "\r\n", 2);
	r = jt_ask_once(socket, '$', request, (size_t)n + bytes + 2, reply,
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
	if (jt_ask_once(socket, '$', INFO, strlen(INFO), reply, sizeof(reply)))
		return;
	at = strstr(reply, key);
	if (!at)
		return;
	at += strlen(key);
	snprintf(out, out_bytes, "%.*s", (int)strcspn(at, "\r\n"), at);
}
