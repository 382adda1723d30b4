/* usher: see usher.h. */
#include "sidecar/usher.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAGIC 0x4e435455u
#define VERSION 1u

struct word {
	uint32_t magic;
	uint8_t version;
	uint8_t proto;
	uint8_t greeted;
	uint8_t zero;
	uint64_t id;
	uint64_t connected_ns; /* boot clock */
	char name[JT_CLIENT_NAME_BYTES];
	char lib_name[JT_CLIENT_NAME_BYTES];
	char lib_ver[JT_CLIENT_NAME_BYTES];
};
static_assert(sizeof(struct word) == 216, "no padding");

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int jt_usher_send(int queue, int fd, const struct jt_client *client,
		  bool greeted)
{
	struct word word = {
		.magic = MAGIC,
		.version = VERSION,
		.proto = (uint8_t)client->proto,
		.greeted = greeted,
		.id = client->id,
		.connected_ns = client->connected_ns,
	};
	union control control = {0};
	struct iovec iov = {&word, sizeof(word)};
	const struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};

	memcpy(word.name, client->name, sizeof(word.name));
	memcpy(word.lib_name, client->lib_name, sizeof(word.lib_name));
	memcpy(word.lib_ver, client->lib_ver, sizeof(word.lib_ver));
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
	if (sendmsg(queue, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	/* so many descriptors are under way that there may be no more now */
	return errno == ETOOMANYREFS || errno == ENOBUFS || errno == EINTR
		       ? -EAGAIN
		       : -errno;
}

/* As a client may name itself (command_client.c), and with its end. */
static bool is_name(const char text[JT_CLIENT_NAME_BYTES])
{
	size_t n = strnlen(text, JT_CLIENT_NAME_BYTES);

	for (size_t i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return n < JT_CLIENT_NAME_BYTES;
}

static bool read_word(const struct word *w, struct jt_client *client)
{
	if (w->magic != MAGIC || w->version != VERSION ||
	    (w->proto != 2 && w->proto != 3) || !is_name(w->name) ||
	    !is_name(w->lib_name) || !is_name(w->lib_ver))
		return false;
	jt_client_init(client, w->id, w->connected_ns);
	client->proto = w->proto;
	memcpy(client->name, w->name, sizeof(client->name) - 1);
	memcpy(client->lib_name, w->lib_name, sizeof(client->lib_name) - 1);
	memcpy(client->lib_ver, w->lib_ver, sizeof(client->lib_ver) - 1);
	return true;
}

/* The one descriptor that belongs to a word; -1: there is none, or more, which
 * are closed. */
static int only_one(const struct msghdr *msg)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd = -1;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return -1;
	for (size_t at = CMSG_LEN(0); at + sizeof(fd) <= c->cmsg_len;
	     at += sizeof(fd)) {
		memcpy(&fd, (const char *)c + at, sizeof(fd));
		if (c->cmsg_len == CMSG_LEN(sizeof(fd)))
			return fd;
		close(fd); /* padding has room for a second one */
	}
	return -1;
}

int jt_usher_receive(int queue, struct jt_client *client, bool *greetedp)
{
	struct word word = {0};
	union control control;
	struct iovec iov = {&word, sizeof(word)};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(queue, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fd;

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (n == 0)
		return -EPIPE;
	fd = only_one(&msg);
	if (fd < 0)
		return -EPROTO;
	*greetedp = word.greeted;
	if (n == sizeof(word) && read_word(&word, client))
		return fd;
	close(fd);
	return -EPROTO;
}
