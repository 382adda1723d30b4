/*
 * passphrase: see passphrase.h.
 *
 * While the echo is off, the signals that would end or stop us are blocked and
 * watched through a descriptor beside the terminal. One that comes is left
 * pending: the terminal is put right first, and the signal does its work when
 * it is unblocked. So no handler, and never a shell without echo.
 */
#include "admin/passphrase.h"
#include "admin/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

struct terminal {
	int fd;
	int signals; /* readable: one of them is pending */
	sigset_t unblocked;
	struct termios shown;
};

static int none(void)
{
	return jt_fail(JT_EXIT_USAGE,
		       "there is no terminal to ask for the passphrase on; "
		       "give --passphrase-file FILE");
}

static void watch_signals(struct terminal *t)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		sigaddset(&set, ends[i]);
	sigprocmask(SIG_BLOCK, &set, &t->unblocked);
	t->signals = signalfd(-1, &set, SFD_CLOEXEC);
}

static int terminal_open(struct terminal *t)
{
	struct termios hidden;

	t->fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (t->fd < 0)
		return none();
	if (tcgetattr(t->fd, &t->shown) < 0) {
		close(t->fd);
		return none();
	}
	watch_signals(t);
	hidden = t->shown;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	hidden.c_lflag |= ICANON | ISIG;
	tcsetattr(t->fd, TCSAFLUSH, &hidden);
	return 0;
}

/* Also forgets what was typed beyond the line that was read. */
static void terminal_close(struct terminal *t)
{
	tcsetattr(t->fd, TCSAFLUSH, &t->shown);
	close(t->fd);
	if (t->signals >= 0)
		close(t->signals);
	sigprocmask(SIG_SETMASK, &t->unblocked, NULL);
}

/* True: there is something to read, and no signal. */
static bool wait_for_line(const struct terminal *t)
{
	struct pollfd fds[2] = {
		{.fd = t->fd, .events = POLLIN},
		{.fd = t->signals, .events = POLLIN},
	};
	int rc;

	do
		rc = poll(fds, 2, -1);
	while (rc < 0 && errno == EINTR);
	return rc > 0 && fds[1].revents == 0;
}

/* Take the line end off, which must be the only one. */
static int judge(struct jt_passphrase *p, const char *where)
{
	size_t n = p->bytes;

	if (n > 0 && p->text[n - 1] == '\n')
		n -= n > 1 && p->text[n - 2] == '\r' ? 2 : 1;
	p->bytes = n;
	if (n > JT_PASSPHRASE_MAX)
		return jt_fail(JT_EXIT_USAGE,
			       "%s: a passphrase has at most %u bytes", where,
			       JT_PASSPHRASE_MAX);
	if (memchr(p->text, '\n', n) || memchr(p->text, '\0', n))
		return jt_fail(JT_EXIT_USAGE,
			       "%s: a passphrase is one line of text, and the "
			       "file holds nothing else",
			       where);
	if (n == 0)
		return jt_fail(JT_EXIT_USAGE, "%s: there is no passphrase",
			       where);
	p->text[n] = '\0';
	return 0;
}

static int ask(const struct terminal *t, const char *prompt,
	       struct jt_passphrase *p)
{
	ssize_t n = 0;

	p->bytes = 0;
	if (jt_write_all(t->fd, prompt, strlen(prompt)) == 0 &&
	    wait_for_line(t))
		n = read(t->fd, p->text, sizeof(p->text));
	jt_write_all(t->fd, "\n", 1);
	if (n <= 0)
		return jt_fail(JT_EXIT_USAGE, "no passphrase was typed");
	p->bytes = (size_t)n;
	return judge(p, "terminal");
}

static int long_enough(const struct jt_passphrase *p)
{
	size_t characters = 0;

	for (size_t i = 0; i < p->bytes; i++)
		characters += ((uint8_t)p->text[i] & 0xc0) != 0x80; /* UTF-8 */
	if (characters >= JT_PASSPHRASE_MIN)
		return 0;
	return jt_fail(JT_EXIT_USAGE,
		       "a passphrase has at least %u characters; four or five "
		       "words by chance are a good one",
		       JT_PASSPHRASE_MIN);
}

static int ask_again(const struct terminal *t, const struct jt_passphrase *p)
{
	struct jt_passphrase *again = sodium_malloc(sizeof(*again));
	int e;

	if (!again)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	e = ask(t, "The same again: ", again);
	if (e == 0 && (again->bytes != p->bytes ||
		       sodium_memcmp(again->text, p->text, p->bytes) != 0))
		e = jt_fail(JT_EXIT_USAGE, "these are two different "
					   "passphrases, nothing was made");
	sodium_free(again);
	return e;
}

static int from_terminal(bool fresh, struct jt_passphrase *p)
{
	struct terminal t;
	int e = terminal_open(&t);

	if (e)
		return e;
	e = ask(&t, fresh ? "New passphrase: " : "Passphrase: ", p);
	if (e == 0 && fresh)
		e = long_enough(p);
	if (e == 0 && fresh)
		e = ask_again(&t, p);
	terminal_close(&t);
	return e;
}

/* Until the end or the buffer's; 0 or negative errno. */
static int read_all(int fd, struct jt_passphrase *p)
{
	while (p->bytes < sizeof(p->text)) {
		ssize_t n = read(fd, p->text + p->bytes,
				 sizeof(p->text) - p->bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		p->bytes += (size_t)n;
	}
	return 0;
}

static int from_file(const char *file, bool fresh, struct jt_passphrase *p)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), rc;
	struct stat st;

	p->bytes = 0;
	rc = fd < 0 ? -errno : read_all(fd, p);
	if (rc == 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		jt_note("%s: others have access to this file; chmod 600 it",
			file);
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		return jt_fail(JT_EXIT_FILE,
			       "%s: %s; name a file that holds the passphrase",
			       file, strerror(-rc));
	rc = judge(p, file);
	return rc == 0 && fresh ? long_enough(p) : rc;
}

int jt_passphrase_get(const char *file, bool fresh, struct jt_passphrase **pp)
{
	const struct rlimit no_core = {0, 0};
	struct jt_passphrase *p;
	int e;

	setrlimit(RLIMIT_CORE, &no_core);
	prctl(PR_SET_DUMPABLE, 0);
	p = sodium_malloc(sizeof(*p));
	if (!p)
		return jt_fail(JT_EXIT_FILE, "not enough memory");
	e = file ? from_file(file, fresh, p) : from_terminal(fresh, p);
	if (e) {
		sodium_free(p);
		return e;
	}
	*pp = p;
	return 0;
}

void jt_passphrase_free(struct jt_passphrase *p)
{
	sodium_free(p);
}
