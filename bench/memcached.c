/* memcached: see memcached.h. */
#include "bench/memcached.h"

#include "bench/ask.h"
#include "bench/fill.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOOK "mg none v\r\n"
#define VERSION "version\r\n"
#define ITEM_BYTES 512u /* more than one takes, whatever its slab class */

int jt_memcached_start(struct jt_process *p, int cpu, const char *dir, size_t n,
		       char socket[108])
{
	char megabytes[24], log[160];
	const char *const argv[] = {
		"memcached", "-s", socket, "-a", "0600", "-t",
		"1",	     "-R", "512",  "-c", "8192", "-m",
		megabytes,   "-U", "0",	   "-u", "root", NULL,
	};
	int r;

	snprintf(megabytes, sizeof(megabytes), "%zu",
		 128 + (n * ITEM_BYTES >> 20));
	snprintf(socket, 108, "%.90s/memcached.sock", dir);
	snprintf(log, sizeof(log), "%.90s/memcached.log", dir);
	r = jt_process_exec(p, cpu, log, argv);
	if (!r)
		r = jt_ask_until(p, socket, 'M', LOOK, strlen(LOOK), "EN");
	if (!r || r == -EINTR)
		return r;
	fprintf(stderr,
		"jeton-bench: memcached does not start: %s\n"
		"(Debian: apt-get install memcached; or choose without it: "
		"--subjects floor,get,jeton)\n",
		strerror(-r));
	jt_process_show_log(p);
	return r;
}

int jt_memcached_fill(const char *socket, const struct jt_tokens *tokens,
		      const char *value)
{
	char after[128];

	snprintf(after, sizeof(after), " %zu\r\n%s\r\n", strlen(value), value);
	return jt_fill(socket, tokens, "ms ", after, 'M', "HD");
}

void jt_memcached_version(const char *socket, char *out, size_t out_bytes)
{
	char reply[128];

	out[0] = '\0';
	if (jt_ask_once(socket, 'M', VERSION, strlen(VERSION), reply,
			sizeof(reply)) ||
	    strncmp(reply, "VERSION ", 8) != 0)
		return;
	snprintf(out, out_bytes, "%.*s", (int)strcspn(reply + 8, "\r\n"),
		 reply + 8);
}
