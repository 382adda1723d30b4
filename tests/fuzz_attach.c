/*
 * fuzz_attach: any bytes with any descriptors from whoever says he is the
 * keeper. The first byte: how many descriptors come, with 0x80 in the other
 * order; the rest is what is said, with 0x40 under this build's magic and
 * version.
 *
 * Either it is refused and no descriptor is left, or there are two and no more,
 * and mapping what they are gives a table that can be asked, or a reason.
 */
#include "shm/attach.h"
#include "shm/verify.h"
#include "tests/fuzz.h"

#include <errno.h>
#include <sodium.h>
#include <sys/socket.h>

#define FDS_MAX 12u
#define SAID_MAX 4096u

static const struct jt_greeting greeting = {.magic = JT_ATTACH_MAGIC,
					    .version = JT_LAYOUT_VERSION};
static struct jt_segment_fds segments;

int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	const struct jt_segment_size size = {
		.capacity = 8, .pool_bytes = 4096, .prefix = "jt"};
	const uint8_t id[16] = "a journal's id.";
	struct jt_maps maps;

	assert(sodium_init() >= 0);
	assert(!jt_segment_create(&size, id, &segments, &maps));
	jt_store_seq(&maps.identity_rw->state, JT_IDENTITY_SERVING);
	jt_segment_unmap(&maps);
	return 0;
}

static unsigned open_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 64; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void send_it(int to, const uint8_t *data, size_t size, unsigned n,
		    bool swapped)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)data, size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[FDS_MAX];

	for (unsigned i = 0; i < n; i++)
		fds[i] = i % 2 == swapped ? segments.identity : segments.meters;
	if (n) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		*CMSG_FIRSTHDR(&msg) =
			(struct cmsghdr){.cmsg_len = CMSG_LEN(n * sizeof(int)),
					 .cmsg_level = SOL_SOCKET,
					 .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), fds, n * sizeof(int));
	}
	assert(sendmsg(to, &msg, MSG_NOSIGNAL) == (ssize_t)size);
}

static void look(const struct jt_segment_fds *fds, bool swapped)
{
	const struct jt_ask ask = {.token = {(const uint8_t *)"x", 1}};
	struct jt_tally tally = {0};
	struct jt_verdict v;
	struct jt_maps maps;
	int rc = jt_segment_look(fds, &maps);

	assert((rc == 0) == !swapped);
	if (rc)
		return;
	jt_verify(&maps, NULL, &ask, &v, 1, (struct jt_now){1, 1}, &tally);
	assert(v.word == JT_MALFORMED);
	jt_segment_unmap(&maps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned before = open_fds();
	unsigned n = size ? (data[0] & 0x3f) % (FDS_MAX + 1) : 0;
	bool swapped = size && data[0] & 0x80;
	struct jt_segment_fds fds;
	enum jt_attach_right right;
	uint8_t said[SAID_MAX];
	int pair[2], rc;

	if (size > sizeof(said))
		return 0;
	memcpy(said, data, size);
	if (size >= 13 && data[0] & 0x40)
		memcpy(said + 1, &greeting, 12);
	assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	/* no byte carries no descriptor */
	if (size > 1)
		send_it(pair[1], said + 1, size - 1, n, swapped);
	close(pair[1]);
	rc = jt_attach_take(pair[0], &fds, &right);
	assert(open_fds() == before + 1 + (rc ? 0 : 2));
	assert(rc || right == JT_ATTACH_LOOK || right == JT_ATTACH_SPEND);
	assert(rc <= 0 ? !rc || rc == -ECONNRESET : rc <= JT_ATTACH_E_FOREIGN);
	if (!rc) {
		look(&fds, swapped);
		close(fds.identity);
		close(fds.meters);
	}
	close(pair[0]);
	return 0;
}
