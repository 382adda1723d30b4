/*
 * service: what a service manager and the keeper say to each other, as
 * sd_notify(3) and sd_listen_fds(3) describe it; by hand, since it is a
 * datagram and three variables, and libsystemd is much more.
 *
 * Without a manager all of this does nothing. The variables are removed from
 * the environment once read. One that makes no sense is refused, in one line.
 * Keeper only; nothing here ever waits.
 */
#ifndef JT_SIDECAR_SERVICE_H
#define JT_SIDECAR_SERVICE_H

#include "admin/journal.h"
#include "sidecar/doors.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
	JT_SERVICE_E_BAD = 1, /* faultp says why */
};

struct jt_service_link {
	int fd; /* -1: nobody listens */
	struct sockaddr_un address;
	socklen_t address_bytes;
	uint64_t ping_ns; /* every so often; 0: nobody waits for it */
	uint64_t pinged_ns, told_ns;
	bool ready_due; /* READY=1 was not taken yet */
	char status[128];
};

/* NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID. */
int jt_service_init(struct jt_service_link *service, struct jt_fault *faultp);

/*
 * LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES: sockets that were opened for us, by
 * name: resp, http, http-tcp, attach, control. What kind they are of is checked
 * where they become doors. Negative errno is not returned.
 */
int jt_service_sockets(struct jt_passed *passedp, struct jt_fault *faultp);

/* Serving now, or again after jt_service_reloading(). */
void jt_service_ready(struct jt_service_link *service);
void jt_service_reloading(struct jt_service_link *service);
void jt_service_stopping(struct jt_service_link *service);

/* One line for people, sent when it is another one, at most once a second. */
void jt_service_status(struct jt_service_link *service, uint64_t now_ns,
		       const char *text);

/*
 * Once a turn: says again what was not taken, and, while WELL, that we are
 * alive. Returns ms until the next call is due, at most MS.
 */
unsigned jt_service_tend(struct jt_service_link *service, uint64_t now_ns,
			 bool well, unsigned ms);

/*
 * In a child that is about to become our successor: its environment says what
 * ours did. Then, in ours: the service's main process is PID from now on.
 */
void jt_service_pass_on(const struct jt_service_link *service);
void jt_service_moved(struct jt_service_link *service, int pid);

void jt_service_deinit(struct jt_service_link *service);

#endif
