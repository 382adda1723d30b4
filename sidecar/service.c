/* service: see service.h. */
#include "sidecar/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull
#define FIRST_FD 3
#define SOCKETS_MAX 5u
#define WATCHDOG_US_MAX (24ull * 3600 * 1000000)

static int refuse(struct jt_fault *faultp, const char *name, const char *why)
{
	return jt_fault_set(faultp, JT_SERVICE_E_BAD, 0, 0,
			    "%s in the environment %s; unset it or mend the "
			    "service's unit",
			    name, why);
}

/* A variable's value, which is gone from the environment then. "": none. */
static void take_variable(const char *name, char *out, size_t bytes)
{
	const char *value = getenv(name);

	/* one that is cut is longer than any good one */
	snprintf(out, bytes, "%s", value ? value : "");
	unsetenv(name);
}

static bool read_number(const char *text, uint64_t most, uint64_t *valuep)
{
	char *end;

	errno = 0;
	*valuep = strtoull(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && !*end && !errno &&
	       *valuep <= most;
}

/* ---- what we say ---- */

static bool say(const struct jt_service_link *s, const char *text)
{
	return s->fd < 0 ||
	       sendto(s->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
		      (const struct sockaddr *)&s->address,
		      s->address_bytes) >= 0;
}

static int read_address(struct jt_service_link *s, struct jt_fault *faultp)
{
	char path[sizeof(s->address.sun_path) + 2];
	size_t n;

	take_variable("NOTIFY_SOCKET", path, sizeof(path));
	n = strlen(path);
	if (!n)
		return 0;
	/* an abstract name has its length, a path also its end */
	if ((path[0] != '/' && path[0] != '@') || n < 2 ||
	    n + (path[0] == '/') > sizeof(s->address.sun_path))
		return refuse(faultp, "NOTIFY_SOCKET",
			      "is neither an absolute path nor an abstract "
			      "name of a socket");
	s->address.sun_family = AF_UNIX;
	memcpy(s->address.sun_path, path, n);
	if (path[0] == '@')
		s->address.sun_path[0] = '\0';
	s->address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				       n + (path[0] == '/'));
	s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return refuse(faultp, "NOTIFY_SOCKET", strerror(errno));
	return 0;
}

static int read_watchdog(struct jt_service_link *s, struct jt_fault *faultp)
{
	char span[32], pid[32];
	uint64_t us, whose;

	take_variable("WATCHDOG_USEC", span, sizeof(span));
	take_variable("WATCHDOG_PID", pid, sizeof(pid));
	if (!span[0])
		return 0;
	if (!read_number(span, WATCHDOG_US_MAX, &us) || !us)
		return refuse(faultp, "WATCHDOG_USEC",
			      "is no number of microseconds up to a day");
	if (pid[0] && !read_number(pid, INT32_MAX, &whose))
		return refuse(faultp, "WATCHDOG_PID", "is no process");
	if (!pid[0] || whose == (uint64_t)getpid())
		s->ping_ns = us * NS_PER_US / 2;
	return 0;
}

int jt_service_init(struct jt_service_link *service, struct jt_fault *faultp)
{
	int rc;

	memset(service, 0, sizeof(*service));
	service->fd = -1;
	rc = read_address(service, faultp);
	if (!rc)
		rc = read_watchdog(service, faultp);
	if (rc)
		jt_service_deinit(service);
	return rc;
}

void jt_service_ready(struct jt_service_link *service)
{
	service->ready_due = !say(service, "READY=1");
}

void jt_service_reloading(struct jt_service_link *service)
{
	struct timespec now;
	char text[64];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
		 (unsigned long long)now.tv_sec * 1000000 +
			 (unsigned long long)now.tv_nsec / 1000);
	say(service, text);
}

void jt_service_stopping(struct jt_service_link *service)
{
	service->ready_due = false;
	say(service, "STOPPING=1");
}

void jt_service_status(struct jt_service_link *service, uint64_t now_ns,
		       const char *text)
{
	char line[sizeof(service->status) + 8];

	if (service->fd < 0 || now_ns < service->told_ns + NS_PER_S ||
	    strcmp(service->status, text) == 0)
		return;
	service->told_ns = now_ns;
	snprintf(line, sizeof(line), "STATUS=%s", text);
	if (say(service, line))
		snprintf(service->status, sizeof(service->status), "%s", text);
}

unsigned jt_service_tend(struct jt_service_link *service, uint64_t now_ns,
			 bool well, unsigned ms)
{
	uint64_t due_ms;

	if (service->ready_due)
		jt_service_ready(service);
	if (service->fd < 0 || !service->ping_ns)
		return ms;
	if (well && now_ns - service->pinged_ns >= service->ping_ns &&
	    say(service, "WATCHDOG=1"))
		service->pinged_ns = now_ns;
	due_ms = service->ping_ns / NS_PER_MS + 1;
	return due_ms < ms ? (unsigned)due_ms : ms;
}

void jt_service_pass_on(const struct jt_service_link *service)
{
	char text[sizeof(service->address.sun_path) + 1] = "";

	if (service->fd < 0)
		return;
	memcpy(text, service->address.sun_path,
	       service->address_bytes - offsetof(struct sockaddr_un, sun_path));
	if (!text[0])
		text[0] = '@';
	setenv("NOTIFY_SOCKET", text, 1);
	snprintf(text, sizeof(text), "%llu",
		 (unsigned long long)(service->ping_ns * 2 / NS_PER_US));
	if (service->ping_ns)
		setenv("WATCHDOG_USEC", text, 1);
}

void jt_service_moved(struct jt_service_link *service, int pid)
{
	char text[32];

	snprintf(text, sizeof(text), "MAINPID=%d", pid);
	say(service, text);
	service->ping_ns = 0; /* pings are the main process's */
	service->ready_due = false;
}

void jt_service_deinit(struct jt_service_link *service)
{
	if (service->fd >= 0)
		close(service->fd);
	service->fd = -1;
}

/* ---- what we are given ---- */

static int *door_of(struct jt_passed *p, const char *name, size_t n)
{
	const struct {
		const char *name;
		int *fd;
	} doors[SOCKETS_MAX] = {
		{"resp", &p->resp},	  {"http", &p->http},
		{"http-tcp", &p->tcp},	  {"attach", &p->attach},
		{"control", &p->control},
	};

	for (unsigned i = 0; i < SOCKETS_MAX; i++)
		if (strlen(doors[i].name) == n &&
		    memcmp(doors[i].name, name, n) == 0)
			return doors[i].fd;
	return NULL;
}

static int give(struct jt_passed *passed, const char *names, unsigned n,
		struct jt_fault *faultp)
{
	for (unsigned i = 0; i < n; i++) {
		size_t bytes = strcspn(names, ":");
		int *door = door_of(passed, names, bytes);
		int fd = FIRST_FD + (int)i;

		if (!door || *door >= 0)
			return refuse(faultp, "LISTEN_FDNAMES",
				      "does not name each socket, once, one of "
				      "resp, http, http-tcp, attach, control "
				      "(FileDescriptorName=)");
		if (fcntl(fd, F_SETFD, FD_CLOEXEC))
			return refuse(faultp, "LISTEN_FDS",
				      "counts sockets that are not there");
		*door = fd;
		names += bytes;
		names += *names == ':' && i + 1 < n;
	}
	if (*names)
		return refuse(faultp, "LISTEN_FDNAMES",
			      "names more sockets than LISTEN_FDS counts");
	return 0;
}

int jt_service_sockets(struct jt_passed *passedp, struct jt_fault *faultp)
{
	char count[16], pid[16], names[128];
	uint64_t n, whose;

	*passedp = JT_PASSED_NONE;
	take_variable("LISTEN_FDS", count, sizeof(count));
	take_variable("LISTEN_PID", pid, sizeof(pid));
	take_variable("LISTEN_FDNAMES", names, sizeof(names));
	if (!count[0] || !pid[0])
		return 0;
	if (!read_number(pid, INT32_MAX, &whose))
		return refuse(faultp, "LISTEN_PID", "is no process");
	if (whose != (uint64_t)getpid())
		return 0; /* meant for whoever started us */
	if (!read_number(count, SOCKETS_MAX, &n))
		return refuse(faultp, "LISTEN_FDS",
			      "is no number of sockets up to 5");
	return give(passedp, names, (unsigned)n, faultp);
}
