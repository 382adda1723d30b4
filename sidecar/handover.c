/* handover: see handover.h. */
#include "sidecar/handover.h"

#include "sidecar/pass.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static_assert(JT_HANDOVER_FDS <= JT_PASS_MAX, "all of them go in one word");

int jt_handover_send(int link, struct jt_handover_word *word, const int *fds,
		     unsigned n_fds)
{
	if (n_fds > JT_HANDOVER_FDS)
		return -EINVAL;
	word->version = JT_HANDOVER_VERSION;
	return jt_pass_send(link, word, sizeof(*word), fds, n_fds);
}

void jt_handover_close(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
}

int jt_handover_receive(int link, struct jt_handover_word *word, int *fds,
			unsigned *n_fdsp)
{
	int n = jt_pass_receive(link, word, sizeof(*word), fds,
				JT_HANDOVER_FDS);

	*n_fdsp = n < 0 ? 0 : (unsigned)n;
	if (n < 0)
		return n;
	word->text[sizeof(word->text) - 1] = '\0';
	if (word->version == JT_HANDOVER_VERSION)
		return 0;
	jt_handover_close(fds, *n_fdsp);
	*n_fdsp = 0;
	return -EPROTO;
}

int jt_handover_link(void)
{
	const char *text = getenv(JT_HANDOVER_VARIABLE);
	char *end = NULL;
	long fd = text ? strtol(text, &end, 10) : -1;
	int type = 0;
	socklen_t bytes = sizeof(type);

	unsetenv(JT_HANDOVER_VARIABLE);
	if (fd <= STDERR_FILENO || *end ||
	    getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &bytes) ||
	    type != SOCK_SEQPACKET || fcntl((int)fd, F_SETFD, FD_CLOEXEC))
		return -1;
	return (int)fd;
}
