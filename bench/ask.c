/* ask: see ask.h. */
#include "bench/ask.h"

#include "bench/scan.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX 4096u
#define TRIES 120000
#define PAUSE_NS 1000000
#define PATIENCE_S 10

int jt_ask_connect(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

/* Read one whole reply into BUFFER (ANSWER_MAX); its length. */
static ssize_t read_reply(int fd, uint8_t *buffer, struct jt_scan *scan)
{
	size_t have = 0, taken = 0;
	ssize_t n;
	int r;

	while (have < ANSWER_MAX) {
		n = recv(fd, buffer + have, ANSWER_MAX - have, 0);
		if (n <= 0)
			return n ? -errno : -ECONNRESET;
		have += (size_t)n;
		r = jt_scan_feed(scan, buffer, have, &taken);
		if (r || taken)
			return r ? r : (ssize_t)taken;
	}
	return -EMSGSIZE;
}

/* Into BUFFER (ANSWER_MAX). */
static ssize_t ask_on(int fd, const void *request, size_t bytes,
		      uint8_t *buffer, struct jt_scan *scan)
{
	ssize_t n = send(fd, request, bytes, MSG_NOSIGNAL);

	if (n != (ssize_t)bytes)
		return n < 0 ? -errno : -EIO;
	return read_reply(fd, buffer, scan);
}

int jt_ask_on(int fd, const void *request, size_t bytes, struct jt_scan *scan)
{
	uint8_t buffer[ANSWER_MAX];
	ssize_t n = ask_on(fd, request, bytes, buffer, scan);

	return n < 0 ? (int)n : 0;
}

static ssize_t ask(const char *path, const void *request, size_t bytes,
		   uint8_t *buffer, struct jt_scan *scan)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd = jt_ask_connect(path);
	ssize_t r;

	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	r = ask_on(fd, request, bytes, buffer, scan);
	close(fd);
	return r;
}

int jt_ask_once(const char *path, char type, const void *request, size_t bytes,
		char *text, size_t text_bytes)
{
	uint8_t buffer[ANSWER_MAX];
	struct jt_scan scan;
	ssize_t n;

	jt_scan_init(&scan, type, NULL);
	n = ask(path, request, bytes, buffer, &scan);
	if (n < 0)
		return (int)n;
	if ((size_t)n >= text_bytes)
		n = (ssize_t)text_bytes - 1;
	memcpy(text, buffer, (size_t)n);
	text[n] = '\0';
	return 0;
}

int jt_ask_until(struct jt_process *server, const char *path, char type,
		 const void *request, size_t bytes, const char *want)
{
	struct timespec pause = {0, PAUSE_NS};
	uint8_t buffer[ANSWER_MAX];
	struct jt_scan scan;

	for (int i = 0; i < TRIES; i++) {
		jt_scan_init(&scan, type, want);
		if (ask(path, request, bytes, buffer, &scan) > 0 &&
		    scan.expected)
			return 0;
		if (!jt_process_alive(server))
			return -ESRCH;
		if (jt_process_interrupted())
			return -EINTR;
		nanosleep(&pause, NULL);
	}
	return -ETIME;
}
