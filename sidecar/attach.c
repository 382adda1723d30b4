/*
 * attach: see sidecar/attach.h.
 *
 * The lease. A process that verifies by itself has nobody to tell it that the
 * keeper is gone: it believes the identity segment until `lease_ns`, which a
 * keeper that is well moves to half a second from now. So when a keeper is
 * killed, and the next one puts a revoke in force in segments of its own,
 * somebody may still find the token valid in the old ones, until
 *
 *     last renewal + JT_LEASE_NS  <=  death of the old keeper + JT_LEASE_NS
 *                                 <=  lock taken by the new one + JT_LEASE_NS
 *
 * and that is how long the new one keeps back what it promises. Whether
 * anybody could be such a process stands in the serving lock's file, from
 * before the first descriptor is sent until a clean stop, which ends the lease
 * itself. A keeper that dies while it holds back leaves the mark to the next.
 *
 * A client that does not read costs nothing: the message fits an empty socket
 * or is not sent.
 */
#include "sidecar/attach.h"

#include "sidecar/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURN_MAX 16u	/* clients in one turn */
#define GROUPS_MAX 256u /* of one client; who has more may not attach */
#define STEP_NS 1000000000ull

int jt_attaches_reopen(int fd)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int jt_attaches_init(struct jt_attaches *a, struct jt_doors *doors,
		     struct jt_maps *maps, const struct jt_segment_fds *fds,
		     const struct jt_settings *settings, uint64_t now_ns)
{
	memset(a, 0, sizeof(*a));
	a->doors = doors;
	a->maps = maps;
	a->settings = settings;
	a->spend = fds->meters;
	/* who attached to the daemon before may count until that has gone */
	a->closed = doors->borrowed;
	a->handed_out = doors->borrowed && doors->attached;
	if (doors->attached && !doors->borrowed)
		a->hold_until_ns = now_ns + JT_LEASE_NS;
	a->identity = jt_attaches_reopen(fds->identity);
	if (a->identity < 0)
		return a->identity;
	a->look = jt_attaches_reopen(fds->meters);
	if (a->look >= 0)
		return 0;
	close(a->identity);
	return a->look;
}

void jt_attaches_change(struct jt_attaches *a, int identity)
{
	close(a->identity);
	a->identity = identity;
}

uint64_t jt_attaches_hold_until_ns(const struct jt_attaches *a)
{
	return a->hold_until_ns;
}

static enum jt_attach_right right_of(const struct jt_attaches *a, int fd)
{
	struct ucred peer;
	uint32_t groups[GROUPS_MAX];
	socklen_t bytes = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes))
		return JT_ATTACH_NO;
	bytes = sizeof(groups);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes))
		return JT_ATTACH_NO;
	return (enum jt_attach_right)jt_settings_rule(a->settings, peer.uid,
						      peer.gid, groups,
						      bytes / sizeof(groups[0]))
		->attach;
}

static void refuse(int fd, uint8_t why)
{
	/* closing says enough if it cannot be sent */
	if (send(fd, &why, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		errno = 0;
}

static void greet(const struct jt_attaches *a, int fd,
		  enum jt_attach_right right)
{
	const int fds[2] = {a->identity,
			    right == JT_ATTACH_SPEND ? a->spend : a->look};
	struct jt_greeting greeting = {
		.magic = JT_ATTACH_MAGIC,
		.version = JT_LAYOUT_VERSION,
		.right = right,
	};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(fds))];
	} control = {0};
	struct iovec iov = {&greeting, sizeof(greeting)};
	const struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	if (sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		errno = 0; /* as above */
}

/* The mark comes before the first descriptor. */
static bool may_hand_out(struct jt_attaches *a)
{
	int rc;

	if (a->handed_out)
		return true;
	rc = jt_doors_mark(a->doors, true);
	a->handed_out = rc == 0;
	if (rc)
		jt_log(JT_LOG_ERROR,
		       "%s/%s cannot be written (%s), so nobody can attach; "
		       "check the disk",
		       a->doors->paths.data, JT_SERVING_NAME, strerror(-rc));
	return a->handed_out;
}

static void answer(struct jt_attaches *a, int fd, bool in_force)
{
	enum jt_attach_right right = right_of(a, fd);

	if (right == JT_ATTACH_NO)
		refuse(fd, JT_ATTACH_E_RIGHT);
	else if (!in_force || !may_hand_out(a))
		refuse(fd, JT_ATTACH_E_LOADING);
	else
		greet(a, fd, right);
}

static void answer_some(struct jt_attaches *a, bool in_force)
{
	for (unsigned i = 0; i < TURN_MAX; i++) {
		int fd = accept4(a->doors->attach, NULL, NULL,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);

		a->no_room = fd < 0 && jt_doors_no_room(errno);
		if (fd < 0)
			return;
		answer(a, fd, in_force);
		close(fd);
	}
}

static void renew(_Atomic uint64_t *lease, uint64_t next_ns)
{
	/* relaxed: the keeper's own word */
	if (jt_load_relaxed(lease) + JT_LEASE_STEP_NS <= next_ns)
		/* pairs with believes() in shm/jeton.c */
		jt_store_release(lease, next_ns);
}

void jt_attaches_run(struct jt_attaches *a, uint64_t now_ns, bool in_force)
{
	uint64_t next_ns = now_ns + JT_LEASE_NS;

	/* also in the older of two tables, until that is retired */
	for (struct jt_maps *m = a->maps; m && in_force && !a->closed;
	     m = m->twin)
		renew(&m->identity_rw->lease_ns, next_ns);
	if (!a->closed)
		answer_some(a, in_force);
	if (a->handed_out && now_ns >= a->step_due_ns) {
		a->maps->guests++;
		a->step_due_ns = now_ns + STEP_NS;
	}
}

void jt_attaches_yield(struct jt_attaches *a)
{
	a->closed = true;
	/* pairs with believes() in shm/jeton.c; there is no twin now */
	jt_store_release(&a->maps->identity_rw->lease_ns, 0);
}

void jt_attaches_resume(struct jt_attaches *a, uint64_t hold_until_ns)
{
	a->closed = false;
	if (hold_until_ns > a->hold_until_ns)
		a->hold_until_ns = hold_until_ns;
}

void jt_attaches_retire(struct jt_attaches *a, uint64_t now_ns)
{
	struct jt_identity *id = a->maps->identity_rw;

	/* both pair with believes() in shm/jeton.c */
	jt_store_release(&id->state, JT_IDENTITY_RETIRED);
	jt_store_release(&id->lease_ns, 0);
	/* who connects from now on hears at once that nobody is there; at a
	 * socket that was passed he waits for the next jetond, whose it is
	 * then, and shutting that down would be for good */
	if (a->doors->passed.attach < 0 && !a->doors->borrowed)
		shutdown(a->doors->attach, SHUT_RDWR);
	if (!a->closed)
		answer_some(a, false);
	if (a->doors->attached && !a->doors->borrowed &&
	    now_ns >= a->hold_until_ns)
		(void)jt_doors_mark(a->doors, false);
	close(a->identity);
	close(a->look);
}
