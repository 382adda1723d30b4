/* redis: see redis.h. */
#include "bench/redis.h"

#include "bench/ask.h"
#include "bench/fill.h"
#include "bench/jeton.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PING "*1\r\n$4\r\nPING\r\n"
#define SAVE "*1\r\n$4\r\nSAVE\r\n"
#define HSET_BEFORE "*14\r\n$4\r\nHSET\r\n$64\r\n"
#define FILL_AT_ONCE 500000u /* tokens: their requests are in memory */
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

int jt_redis_exec(struct jt_process *p, int cpu, const char *dir,
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

	snprintf(socket, 108, "%.90s/%s.sock", dir, name);
	snprintf(log, sizeof(log), "%.90s/%s.log", dir, name);
	return jt_process_exec(p, cpu, log, argv);
}

int jt_redis_await(struct jt_process *p, const char *socket)
{
	int r = jt_ask_until(p, socket, '+', PING, strlen(PING), "PONG");

	if (!r || r == -EINTR)
		return r;
	fprintf(stderr, "jeton-bench: redis-server does not start: %s\n",
		strerror(-r));
	fprintf(stderr, "(Debian: apt-get install redis-server; or choose "
			"without it: --subjects floor,jeton)\n");
	jt_process_show_log(p);
	return r;
}

int jt_redis_start(struct jt_process *p, int cpu, const char *dir,
		   const char *name, char socket[108])
{
	int r = jt_redis_exec(p, cpu, dir, name, socket);

	return r ? r : jt_redis_await(p, socket);
}

/* `$N\r\nFIELD\r\n$M\r\nVALUE\r\n` behind what is there. */
static void add_pair(char *text, size_t room, const char *field,
		     const char *value)
{
	size_t n = strlen(text);

	snprintf(text + n, room - n, "$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
		 strlen(field), field, strlen(value), value);
}

int jt_redis_fill_hashes(const char *socket, const struct jt_tokens *tokens)
{
	char after[512] = "\r\n", expires[24], interval[24], burst[24];
	struct jt_tokens part;
	int r = 0;

	snprintf(expires, sizeof(expires), "%lld",
		 (long long)time(NULL) + 90 * 86400);
	snprintf(interval, sizeof(interval), "%u", 1000000 / JT_JETON_RATE);
	snprintf(burst, sizeof(burst), "%u", JT_JETON_BURST);
	add_pair(after, sizeof(after), "state", "active");
	add_pair(after, sizeof(after), "expires", expires);
	add_pair(after, sizeof(after), "interval", interval);
	add_pair(after, sizeof(after), "burst", burst);
	add_pair(after, sizeof(after), "tat", "0");
	add_pair(after, sizeof(after), "owner", "bench");
	for (size_t i = 0; i < tokens->n && !r; i += part.n) {
		part.values = tokens->values + i;
		part.n = tokens->n - i < FILL_AT_ONCE ? tokens->n - i
						      : FILL_AT_ONCE;
		r = jt_fill(socket, &part, HSET_BEFORE, after, ':', "6");
	}
	return r;
}

int jt_redis_save(const char *socket)
{
	char reply[64] = "";
	int fd = jt_ask_connect(socket), r = fd < 0 ? fd : 0;
	ssize_t n = 0;

	if (!r && send(fd, SAVE, strlen(SAVE), MSG_NOSIGNAL) < 0)
		r = -errno;
	if (!r)
		n = recv(fd, reply, sizeof(reply) - 1, 0);
	if (!r && (n <= 0 || strcmp(reply, "+OK\r\n") != 0))
		r = n < 0 ? -errno : -EPROTO;
	if (fd >= 0)
		close(fd);
	if (r)
		fprintf(stderr, "jeton-bench: Redis SAVE: %s %s\n",
			strerror(-r), reply);
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
