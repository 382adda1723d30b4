/*
 * doors: see doors.h.
 *
 * The serving lock is an flock whose open file the workers inherit: it is free
 * only when the keeper and every worker of a daemon are gone. Its text names
 * the process and the control socket, for the admin tool, and says whether
 * other processes have the segments, for the successor (attach.c):
 *
 *     pid 4711
 *     control /run/jeton/jeton-control.sock
 *     attached 5f1c...                         boot id; may be missing
 *
 * The open file that holds the lock is for reading, as a lock does not ask for
 * more: who inherits it, and hears strangers, must not be able to send the
 * admin tool elsewhere, nor whoever he hands it on to. The text is written by
 * another one that the keeper opens for that moment and nobody inherits. Only
 * where a file system (NFS) wants to write to what it locks are both the same,
 * and the sandbox alone keeps workers from it.
 *
 * A new text is written over the old one before what is left of that is cut
 * off: killed in between, the mark is still there.
 *
 * A socket's path is removed and bound again only under the run directory's
 * lock, so a stale file of a crash is no obstacle and a living daemon's is
 * never taken. Its mode is right before anybody can connect: bound under a
 * umask, then listening.
 *
 * Somebody may put another socket or file at that path while we run. At our end
 * the path is removed only if it still names what was bound: a number that
 * nobody else can have, as our own socket keeps the file. What stands at a path
 * that comes from the daemon before is taken for what that one bound.
 *
 * A socket that a service manager passes has its path, its mode and its queue
 * from there, and outlives us: so it is neither bound nor removed here. It must
 * listen, and be of the family that the door's callers are told by.
 */
#include "sidecar/doors.h"

#include "sidecar/log.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES 100u
#define LOCK_STEP_MS 50
#define BACKLOG 4096
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

static int fault(struct jt_fault *faultp, int err, const char *what,
		 const char *dir, const char *name)
{
	snprintf(faultp->line, sizeof(faultp->line), "%s %s/%s: %s", what, dir,
		 name, strerror(err));
	return -err;
}

/* Is the file behind FD the one that DIR/NAME names? */
static bool is_named(int fd, const char *dir, const char *name)
{
	char path[PATH_MAX + 32];
	struct stat held, named;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return fstat(fd, &held) == 0 && lstat(path, &named) == 0 &&
	       held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

static const char *const names[JT_DOORS_N] = {
	[JT_DOOR_RESP] = JT_RESP_NAME,
	[JT_DOOR_CONTROL] = JT_CONTROL_NAME,
	[JT_DOOR_ATTACH] = JT_ATTACH_NAME,
	[JT_DOOR_HTTP] = JT_HTTP_NAME,
};

/* What stands at a socket's path now. */
static struct jt_file_id named_now(const struct jt_doors *d,
				   enum jt_handover_door door)
{
	char path[PATH_MAX + 32];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", d->paths.run, names[door]);
	if (lstat(path, &st) || !S_ISSOCK(st.st_mode))
		return (struct jt_file_id){0};
	return (struct jt_file_id){st.st_dev, st.st_ino};
}

bool jt_doors_ours(const struct jt_doors *doors)
{
	return is_named(doors->serving_lock, doors->paths.data,
			JT_SERVING_NAME);
}

static int open_lock(const char *dir, const char *name, int way)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	/* should it be a pipe, nobody is waited for */
	return open(path, way | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
}

static int take_lock(const char *dir, const char *name, int *fdp,
		     struct jt_fault *faultp)
{
	const struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000000l};
	int fd = open_lock(dir, name, O_RDONLY | O_CREAT);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EBADF) {
		close(fd);
		fd = open_lock(dir, name, O_RDWR);
	}
	if (fd < 0)
		return fault(faultp, errno, "cannot open", dir, name);
	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			if (!is_named(fd, dir, name))
				break; /* somebody made a new one meanwhile */
			*fdp = fd;
			return 0;
		}
		if (errno != EWOULDBLOCK && errno != EINTR)
			break;
		if (i == 4)
			jt_log(JT_LOG_NOTICE, "waiting for %s/%s", dir, name);
		nanosleep(&step, NULL);
	}
	close(fd);
	snprintf(faultp->line, sizeof(faultp->line),
		 "another jetond serves with %s/%s; stop it first, or use "
		 "another directory",
		 dir, name);
	return 1;
}

static int read_boot_id(char out[JT_BOOT_ID_BYTES + 1])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, JT_BOOT_ID_BYTES);
	int rc = n < 0 ? -errno : n < (ssize_t)JT_BOOT_ID_BYTES ? -EIO : 0;

	if (fd >= 0)
		close(fd);
	out[rc ? 0 : JT_BOOT_ID_BYTES] = '\0';
	return rc;
}

/* What a predecessor left there. */
static int read_mark(struct jt_doors *d)
{
	char text[PATH_MAX + 128], want[64];
	ssize_t n = pread(d->serving_lock, text, sizeof(text) - 1, 0);
	int rc = read_boot_id(d->boot_id);

	if (n < 0 || rc)
		return n < 0 ? -errno : rc;
	text[n] = '\0';
	snprintf(want, sizeof(want), "\nattached %s\n", d->boot_id);
	d->attached = strstr(text, want) != NULL;
	return 0;
}

/*
 * The data directory is read-only: an admin finds us only if our predecessor
 * listened where we do.
 */
static int keep_lock(const struct jt_doors *d)
{
	char text[PATH_MAX + 128], want[PATH_MAX + 64];
	ssize_t n = pread(d->serving_lock, text, sizeof(text) - 1, 0);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	snprintf(want, sizeof(want), "\ncontrol %s/%s\n", d->paths.run,
		 JT_CONTROL_NAME);
	if (!strstr(text, want))
		return -EROFS;
	/* nobody is to attach of whom our successor would not know */
	snprintf(want, sizeof(want), "\nattached %s\n", d->boot_id);
	return !d->attached || strstr(text, want) ? 0 : -EROFS;
}

/* The same file, to be written; negative errno. */
static int open_text(const struct jt_doors *d)
{
	int fd = open_lock(d->paths.data, JT_SERVING_NAME, O_WRONLY);

	if (fd < 0)
		return -errno;
	if (jt_doors_ours(d) && is_named(fd, d->paths.data, JT_SERVING_NAME))
		return fd;
	close(fd);
	return -ESTALE;
}

static int write_lock(const struct jt_doors *d)
{
	char text[PATH_MAX + 128];
	int len = snprintf(text, sizeof(text), "pid %ld\ncontrol %s/%s\n%s%s%s",
			   (long)getpid(), d->paths.run, JT_CONTROL_NAME,
			   d->attached ? "attached " : "",
			   d->attached ? d->boot_id : "",
			   d->attached ? "\n" : "");
	int fd = open_text(d), rc;
	ssize_t n;

	if (fd < 0)
		return fd == -EROFS ? keep_lock(d) : fd;
	n = pwrite(fd, text, (size_t)len, 0);
	rc = n < 0 ? -errno : n != len ? -EIO : 0;
	if (!rc && ftruncate(fd, len))
		rc = -errno;
	close(fd);
	return rc;
}

int jt_doors_mark(struct jt_doors *doors, bool attached)
{
	bool was = doors->attached;
	int rc;

	doors->attached = attached;
	rc = write_lock(doors);
	if (rc)
		doors->attached = was || attached;
	return rc;
}

static int listen_at(struct jt_doors *d, enum jt_handover_door door,
		     mode_t mode, int type, int *fdp, struct jt_fault *faultp)
{
	const char *dir = d->paths.run, *name = names[door];
	struct sockaddr_un address;
	const int off = 0;
	mode_t old;
	int fd, rc;

	rc = jt_paths_socket(dir, name, &address);
	if (rc)
		return fault(faultp, -rc, "socket path too long:", dir, name);
	unlink(address.sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | type, 0);
	if (fd < 0)
		return fault(faultp, errno, "cannot make socket", dir, name);
	/* descriptors that a client attaches would be closed by our receive,
	 * and closing one can take as long as its owner likes; older kernels
	 * do not know the option */
	setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
	old = umask(~mode & 0777);
	rc = bind(fd, (struct sockaddr *)&address, sizeof(address));
	umask(old);
	if (rc || listen(fd, BACKLOG)) {
		rc = fault(faultp, errno, "cannot listen at", dir, name);
		close(fd);
		return rc;
	}
	d->bound[door] = named_now(d, door);
	*fdp = fd;
	return 0;
}

/* Bytes of the address; 0: TEXT is none of this host's own. */
static socklen_t read_loopback(const char *text,
			       struct sockaddr_storage *addressp)
{
	struct sockaddr_in *v4 = (void *)addressp;
	struct sockaddr_in6 *v6 = (void *)addressp;
	const char *colon = strrchr(text, ':');
	char host[64], *end;
	unsigned long port;
	size_t n = colon ? (size_t)(colon - text) : 0;

	memset(addressp, 0, sizeof(*addressp));
	if (!n || n >= sizeof(host) || colon[1] < '0' || colon[1] > '9')
		return 0;
	port = strtoul(colon + 1, &end, 10);
	if (*end || port < 1 || port > 65535)
		return 0;
	memcpy(host, text, n);
	host[n] = '\0';
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET
			       ? sizeof(*v4)
			       : 0;
	}
	if (strcmp(host, "[::1]") != 0)
		return 0;
	v6->sin6_family = AF_INET6;
	v6->sin6_addr = in6addr_loopback;
	v6->sin6_port = htons((uint16_t)port);
	return sizeof(*v6);
}

bool jt_doors_loopback_ok(const char *text)
{
	struct sockaddr_storage address;

	return read_loopback(text, &address) > 0;
}

static int listen_tcp(const char *text, int *fdp, struct jt_fault *faultp)
{
	struct sockaddr_storage address;
	socklen_t bytes = read_loopback(text, &address);
	const int on = 1;
	int fd, rc;

	if (!bytes)
		return fault(faultp, EINVAL, "no loopback address", text, "");
	fd = socket(address.ss_family,
		    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fault(faultp, errno, "cannot make socket", text, "");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, bytes) ||
	    listen(fd, BACKLOG)) {
		rc = fault(faultp, errno, "cannot listen at", text, "");
		close(fd);
		return rc;
	}
	*fdp = fd;
	return 0;
}

static int make_run(const char *run, struct jt_fault *faultp)
{
	struct stat st;
	int rc;

	if (stat(run, &st) == 0) {
		if (!(st.st_mode & (S_IWGRP | S_IWOTH)))
			return 0;
		snprintf(faultp->line, sizeof(faultp->line),
			 "%s: others may write there and put up a socket of "
			 "their own; run `chmod go-w` on it",
			 run);
		return 1;
	}
	rc = jt_paths_make(run);
	if (rc)
		return fault(faultp, -rc, "cannot make", run, "");
	/* services come through here; the sockets' own modes decide */
	if (chmod(run, 0755))
		return fault(faultp, errno, "cannot open up", run, "");
	return 0;
}

/* ---- sockets that were passed ---- */

static int option(int fd, int name)
{
	int value = -1;
	socklen_t bytes = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &bytes) ? -1 : value;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
	const struct sockaddr_in *v4 = (const void *)address;
	const struct sockaddr_in6 *v6 = (const void *)address;

	if (address->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return address->ss_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static int refuse(struct jt_fault *faultp, const char *name, const char *why)
{
	snprintf(faultp->line, sizeof(faultp->line),
		 "the socket passed as `%s` %s; mend the .socket unit", name,
		 why);
	return 1;
}

/* PATH: where it must be, as others look for it there; NULL: anywhere. */
static int check_passed(int fd, const char *name, bool tcp, const char *path,
			struct jt_fault *faultp)
{
	struct sockaddr_storage address = {0};
	const struct sockaddr_un *un = (const void *)&address;
	socklen_t bytes = sizeof(address);

	if (option(fd, SO_TYPE) != SOCK_STREAM ||
	    option(fd, SO_ACCEPTCONN) != 1 ||
	    getsockname(fd, (struct sockaddr *)&address, &bytes))
		return refuse(faultp, name, "is no stream socket that listens");
	if (tcp)
		return is_loopback(&address)
			       ? 0
			       : refuse(faultp, name,
					"is not at a loopback address");
	if (address.ss_family != AF_UNIX || un->sun_path[0] != '/')
		return refuse(faultp, name, "has no path in the file system");
	if (path && strncmp(un->sun_path, path, sizeof(un->sun_path)) != 0)
		return refuse(faultp, name,
			      "is not where the admin tool looks for it, "
			      "jeton-control.sock in the run directory");
	return 0;
}

static int take_passed(int fd, const char *name, bool tcp, const char *path,
		       int type, int *fdp, struct jt_fault *faultp)
{
	const int off = 0;
	int rc = check_passed(fd, name, tcp, path, faultp);
	int flags = fcntl(fd, F_GETFL);

	if (rc)
		return rc;
	/* as listen_at() has it; the open file is ours alone while we run */
	flags = type ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	if (fcntl(fd, F_SETFL, flags))
		return refuse(faultp, name, strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
	*fdp = fd;
	return 0;
}

static int take_all_passed(struct jt_doors *d, struct jt_fault *faultp)
{
	const struct jt_passed *p = &d->passed;
	struct sockaddr_un control;
	int rc = 0;

	if (p->control >= 0)
		rc = jt_paths_socket(d->paths.run, JT_CONTROL_NAME, &control);
	if (rc)
		return fault(faultp, -rc, "socket path too long:", d->paths.run,
			     JT_CONTROL_NAME);
	if (p->resp >= 0)
		rc = take_passed(p->resp, "resp", false, NULL, 0, &d->resp,
				 faultp);
	if (!rc && p->control >= 0)
		rc = take_passed(p->control, "control", false, control.sun_path,
				 SOCK_NONBLOCK, &d->control, faultp);
	if (!rc && p->attach >= 0)
		rc = take_passed(p->attach, "attach", false, NULL,
				 SOCK_NONBLOCK, &d->attach, faultp);
	if (!rc && p->http >= 0)
		rc = take_passed(p->http, "http", false, NULL, SOCK_NONBLOCK,
				 &d->http, faultp);
	if (!rc && p->tcp >= 0)
		rc = take_passed(p->tcp, "http-tcp", true, NULL, SOCK_NONBLOCK,
				 &d->http_tcp, faultp);
	return rc;
}

/* ---- all of them ---- */

static int open_sockets(struct jt_doors *d, const struct jt_doors_want *want,
			struct jt_fault *faultp)
{
	int rc = 0;

	if (!want->http && (d->passed.http >= 0 || d->passed.tcp >= 0))
		return refuse(faultp, d->passed.http >= 0 ? "http" : "http-tcp",
			      "would have nobody behind it, as http-workers "
			      "is 0");
	rc = take_all_passed(d, faultp);
	if (!rc && d->resp < 0)
		rc = listen_at(d, JT_DOOR_RESP, 0660, 0, &d->resp, faultp);
	if (!rc && d->control < 0)
		rc = listen_at(d, JT_DOOR_CONTROL, 0600, SOCK_NONBLOCK,
			       &d->control, faultp);
	if (!rc && d->attach < 0)
		rc = listen_at(d, JT_DOOR_ATTACH, 0660, SOCK_NONBLOCK,
			       &d->attach, faultp);
	if (!rc && want->http && d->http < 0)
		rc = listen_at(d, JT_DOOR_HTTP, 0660, SOCK_NONBLOCK, &d->http,
			       faultp);
	if (!rc && want->http && want->http_listen[0] && d->http_tcp < 0)
		rc = listen_tcp(want->http_listen, &d->http_tcp, faultp);
	return rc;
}

static int open_all(struct jt_doors *d, const struct jt_doors_want *want,
		    struct jt_fault *faultp)
{
	int rc = jt_paths_make(d->paths.data);

	if (rc)
		return fault(faultp, -rc, "cannot make", d->paths.data, "");
	rc = make_run(d->paths.run, faultp);
	if (!rc)
		rc = take_lock(d->paths.data, JT_SERVING_NAME, &d->serving_lock,
			       faultp);
	if (!rc)
		rc = take_lock(d->paths.run, JT_RUN_LOCK_NAME, &d->run_lock,
			       faultp);
	if (rc)
		return rc;
	rc = read_mark(d);
	if (!rc)
		rc = write_lock(d);
	if (rc)
		return fault(faultp, -rc, "cannot write", d->paths.data,
			     JT_SERVING_NAME);
	return open_sockets(d, want, faultp);
}

bool jt_doors_no_room(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOBUFS ||
	       err == ENOMEM;
}

void jt_doors_init(struct jt_doors *d)
{
	d->serving_lock = d->run_lock = -1;
	d->resp = d->control = d->http = d->http_tcp = d->attach = -1;
	d->passed = JT_PASSED_NONE;
}

int jt_doors_open(struct jt_doors *doors, const struct jt_paths *paths,
		  const struct jt_doors_want *want, struct jt_fault *faultp)
{
	int rc;

	memset(doors, 0, sizeof(*doors));
	doors->paths = *paths;
	jt_doors_init(doors);
	if (want->passed)
		doors->passed = *want->passed;
	rc = open_all(doors, want, faultp);
	if (rc)
		jt_doors_close(doors);
	return rc;
}

/* ---- from one daemon to the next ---- */

/* Where the descriptor of each door stands. */
static void point(struct jt_doors *d, int *at[JT_DOORS_N],
		  int *passed[JT_DOORS_N])
{
	memset(at, 0, JT_DOORS_N * sizeof(*at));
	memset(passed, 0, JT_DOORS_N * sizeof(*passed));
	at[JT_DOOR_SERVING_LOCK] = &d->serving_lock;
	at[JT_DOOR_RUN_LOCK] = &d->run_lock;
	at[JT_DOOR_RESP] = &d->resp;
	at[JT_DOOR_CONTROL] = &d->control;
	at[JT_DOOR_ATTACH] = &d->attach;
	at[JT_DOOR_HTTP] = &d->http;
	at[JT_DOOR_HTTP_TCP] = &d->http_tcp;
	passed[JT_DOOR_RESP] = &d->passed.resp;
	passed[JT_DOOR_CONTROL] = &d->passed.control;
	passed[JT_DOOR_ATTACH] = &d->passed.attach;
	passed[JT_DOOR_HTTP] = &d->passed.http;
	passed[JT_DOOR_HTTP_TCP] = &d->passed.tcp;
}

void jt_doors_offer(const struct jt_doors *doors, int fds[JT_DOORS_N],
		    uint32_t *passedp)
{
	struct jt_doors d = *doors;
	int *at[JT_DOORS_N], *passed[JT_DOORS_N];

	*passedp = 0;
	point(&d, at, passed);
	for (unsigned i = 0; i < JT_DOORS_N; i++) {
		if (at[i])
			fds[i] = *at[i];
		if (passed[i] && *passed[i] >= 0)
			*passedp |= 1u << i;
	}
}

static int not_there(struct jt_fault *faultp, const char *dir, const char *name)
{
	snprintf(faultp->line, sizeof(faultp->line),
		 "%s/%s is not the one that the daemon before holds; give the "
		 "new one the same --data and --run",
		 dir, name);
	return 1;
}

int jt_doors_inherit(struct jt_doors *doors, const struct jt_paths *paths,
		     const int fds[JT_DOORS_N], uint32_t passed,
		     const struct jt_doors_want *want, struct jt_fault *faultp)
{
	int *at[JT_DOORS_N], *was_passed[JT_DOORS_N], rc;

	memset(doors, 0, sizeof(*doors));
	doors->paths = *paths;
	jt_doors_init(doors);
	doors->borrowed = true;
	point(doors, at, was_passed);
	for (unsigned i = 0; i < JT_DOORS_N; i++) {
		if (at[i])
			*at[i] = fds[i];
		if (was_passed[i] && passed & 1u << i)
			*was_passed[i] = fds[i];
		if (names[i])
			doors->bound[i] = named_now(doors, i);
	}
	rc = read_mark(doors);
	if (rc)
		return fault(faultp, -rc, "cannot read", paths->data,
			     JT_SERVING_NAME);
	if (!jt_doors_ours(doors))
		return not_there(faultp, paths->data, JT_SERVING_NAME);
	if (!is_named(doors->run_lock, paths->run, JT_RUN_LOCK_NAME))
		return not_there(faultp, paths->run, JT_RUN_LOCK_NAME);
	return open_sockets(doors, want, faultp);
}

int jt_doors_own(struct jt_doors *doors)
{
	int rc = read_mark(doors); /* it may have been set meanwhile */

	doors->borrowed = false;
	return rc ? rc : write_lock(doors);
}

/* ---- the end ---- */

/* PASSED: the same, if it was; or one that did not become a door. */
static void close_socket(const struct jt_doors *d, int fd, int passed,
			 enum jt_handover_door door)
{
	struct jt_file_id now = named_now(d, door);
	char path[PATH_MAX + 32];

	if (passed >= 0)
		close(passed);
	if (fd < 0 || passed >= 0)
		return;
	if (d->borrowed) {
		close(fd);
		return;
	}
	snprintf(path, sizeof(path), "%s/%s", d->paths.run, names[door]);
	if (now.ino && now.ino == d->bound[door].ino &&
	    now.dev == d->bound[door].dev)
		unlink(path);
	close(fd); /* until then nobody else has that number */
}

void jt_doors_close(struct jt_doors *doors)
{
	const struct jt_passed *p = &doors->passed;

	if (doors->http_tcp >= 0 && p->tcp < 0)
		close(doors->http_tcp);
	if (p->tcp >= 0)
		close(p->tcp);
	close_socket(doors, doors->http, p->http, JT_DOOR_HTTP);
	close_socket(doors, doors->attach, p->attach, JT_DOOR_ATTACH);
	close_socket(doors, doors->control, p->control, JT_DOOR_CONTROL);
	close_socket(doors, doors->resp, p->resp, JT_DOOR_RESP);
	if (doors->run_lock >= 0)
		close(doors->run_lock);
	if (doors->serving_lock >= 0)
		close(doors->serving_lock);
	jt_doors_init(doors);
}
