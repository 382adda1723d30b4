/* usher: see usher.h. */
#include "sidecar/usher.h"

#include "sidecar/pass.h"
#include <errno.h>
#include <string.h>
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
	int rc;

	memcpy(word.name, client->name, sizeof(word.name));
	memcpy(word.lib_name, client->lib_name, sizeof(word.lib_name));
	memcpy(word.lib_ver, client->lib_ver, sizeof(word.lib_ver));
	rc = jt_pass_send(queue, &word, sizeof(word), &fd, 1);
	/* so many descriptors are under way that there may be no more now */
	return rc == -ETOOMANYREFS || rc == -ENOBUFS || rc == -EINTR ? -EAGAIN
								     : rc;
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

int jt_usher_receive(int queue, struct jt_client *client, bool *greetedp)
{
	struct word word;
	int fd, n = jt_pass_receive(queue, &word, sizeof(word), &fd, 1);

	if (n <= 0)
		return n < 0 ? n : -EPROTO;
	*greetedp = word.greeted;
	if (read_word(&word, client))
		return fd;
	close(fd);
	return -EPROTO;
}
