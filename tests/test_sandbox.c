/* sandbox: what each kind of process can and cannot do inside, call by call. */
#include "sidecar/sandbox.h"

#include "shm/segment.h"
#include "sidecar/crossing.h"
#include "sidecar/sandbox_mark.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* sanitizers make calls of their own */
#ifdef __SANITIZE_ADDRESS__
#define SKIPPED .disabled = true
#else
#define SKIPPED .disabled = false
#endif

#define DIR_TEMPLATE "/tmp/jtboxXXXXXX"

/* What there is before a process goes in, as in the daemon. */
static struct {
	struct jt_maps keepers, maps;
	struct jt_segment_fds fds;
	struct jt_sandbox box;
	struct io_uring ring;
	int pair[2], listener, dir;
	int lock;     /* as an older keeper hands it over: it can be written */
	int wakes[2]; /* of two workers */
	char data[32], elsewhere[64], socket[64];
	int reader; /* a file that is open already */
} w;

static const uint8_t journal_id[16] = "sandbox";
static const char lock_text[4096] = "pid 1\ncontrol /x\n"; /* a page of it */

static void set_up(void)
{
	const struct jt_segment_size size = {
		.capacity = 64, .pool_bytes = 4096, .prefix = "jt"};
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	cr_assert_eq(jt_segment_create(&size, journal_id, &w.fds, &w.keepers),
		     0);
	strcpy(w.data, DIR_TEMPLATE);
	cr_assert(mkdtemp(w.data));
	strcpy(w.elsewhere, DIR_TEMPLATE);
	cr_assert(mkdtemp(w.elsewhere));
	snprintf(w.socket, sizeof(w.socket), "%s/s", w.data);
	strcpy(address.sun_path, w.socket);
	w.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(w.listener, (void *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(w.listener, 5), 0);
	cr_assert_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, w.pair),
		0);
	w.dir = open(w.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w.reader = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	cr_assert(w.dir >= 0 && w.reader >= 0);
	w.lock = openat(w.dir, "serving.lock", O_RDWR | O_CREAT | O_CLOEXEC,
			0600);
	cr_assert_eq(write(w.lock, lock_text, sizeof(lock_text)),
		     sizeof(lock_text));
	for (unsigned i = 0; i < 2; i++)
		w.wakes[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w.box = (struct jt_sandbox){
		.data = w.data,
		.run = w.data,
		.config = "",
		.wakes = w.wakes,
		.n_wakes = 2,
		.keeper = getpid(),
		.layers = JT_LAYERS_ALL,
	};
}

static void tear_down(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s %s", w.data, w.elsewhere);
	cr_assert_eq(system(command), 0);
	jt_segment_unmap(&w.keepers);
}

/* ---- a try: 0 it went through; an errno; or a signal that ended it ---- */

typedef long attempt(void);

struct outcome {
	int err;    /* -1: it never came back */
	int signal; /* 0: it ended by itself */
};

static const char *const kinds[JT_SANDBOX_KINDS] = {"keeper", "worker", "http",
						    "scribe", "clerk"};

/* In a process of its own, which holds what the daemon's would. */
static struct outcome inside(enum jt_sandbox_kind kind, attempt *try)
{
	struct outcome o = {.err = -1};
	int *told = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	*told = -1;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		unsigned layers;
		const struct rlimit none = {0, 0};

		signal(SIGSYS, SIG_DFL);
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		setrlimit(RLIMIT_CORE, &none);
		if (jt_segment_map(&w.fds, &w.maps) ||
		    io_uring_queue_init(8, &w.ring, 0) ||
		    io_uring_register_files_sparse(&w.ring, 8))
			_exit(99);
		tzset();
		layers = jt_sandbox_enter(&w.box, kind);
		if ((layers | JT_LAYER_NO_RIGHTS) != JT_LAYERS_ALL)
			_exit(98);
		errno = 0;
		*told = try() < 0 ? errno : 0;
		_exit(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	o.err = *told;
	o.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	munmap(told, 4096);
	cr_assert(!WIFEXITED(status) || WEXITSTATUS(status) == 0,
		  "%s could not go in: %d", kinds[kind], WEXITSTATUS(status));
	return o;
}

static void denied(enum jt_sandbox_kind kind, const char *name, attempt *try)
{
	struct outcome o = inside(kind, try);

	cr_expect(o.err != 0, "%s: %s went through", kinds[kind], name);
}

static void killed(enum jt_sandbox_kind kind, const char *name, attempt *try)
{
	struct outcome o = inside(kind, try);

	cr_expect_eq(o.signal, SIGSYS, "%s: %s: error %d, signal %d",
		     kinds[kind], name, o.err, o.signal);
}

static void allowed(enum jt_sandbox_kind kind, const char *name, attempt *try)
{
	struct outcome o = inside(kind, try);

	cr_expect(o.err == 0 && o.signal == 0, "%s: %s: error %d, signal %d",
		  kinds[kind], name, o.err, o.signal);
}

/* ---- what nobody may who hears strangers ---- */

static long t_execve(void)
{
	char *const argv[] = {(char[]){"/bin/true"}, NULL};

	return execve("/bin/true", argv, argv + 1);
}
static long t_execveat(void)
{
	return syscall(SYS_execveat, AT_FDCWD, "/bin/true", NULL, NULL, 0);
}
static long t_fork(void)
{
	long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return pid;
}
static long t_vfork(void)
{
	return syscall(SYS_fork);
}
static long t_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}
static long t_socket_inet(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}
static long t_socketpair(void)
{
	int ends[2];

	return socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
}
static long t_connect(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	strcpy(a.sun_path, w.socket);
	return connect(w.pair[0], (void *)&a, sizeof(a));
}
static long t_bind(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	return bind(w.pair[0], (void *)&a, sizeof(a.sun_family));
}
static long t_listen(void)
{
	return listen(w.listener, 1);
}
static long t_ptrace(void)
{
	return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}
static long t_vm_write(void)
{
	struct iovec v = {&w, 8};

	return process_vm_writev(getppid(), &v, 1, &v, 1, 0);
}
static long t_vm_read(void)
{
	struct iovec v = {&w, 8};

	return process_vm_readv(getppid(), &v, 1, &v, 1, 0);
}
static long t_kill_parent(void)
{
	return kill(getppid(), SIGCONT);
}
static long t_tgkill_parent(void)
{
	return syscall(SYS_tgkill, getppid(), getppid(), SIGCONT);
}
static long t_memfd(void)
{
	return memfd_create("x", 0);
}
static long t_mprotect_exec(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(p, 4096, PROT_READ | PROT_EXEC);
}
static long t_mmap_exec(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		       ? -1
		       : 0;
}
static long t_pkey_mprotect(void)
{
	return pkey_mprotect(&w, 4096, PROT_READ | PROT_EXEC, -1);
}
static long t_ring_setup(void)
{
	struct io_uring_params p = {0};

	return syscall(SYS_io_uring_setup, 8, &p);
}
/* of a ring that is there: buffers, which nobody needs */
static long t_ring_register(void)
{
	struct iovec v = {&w, 64};

	return syscall(SYS_io_uring_register, w.ring.ring_fd,
		       IORING_REGISTER_BUFFERS, &v, 1);
}
static long t_ring_probe(void)
{
	return syscall(SYS_io_uring_register, w.ring.ring_fd,
		       IORING_REGISTER_PERSONALITY, NULL, 0);
}
static long t_bpf(void)
{
	union bpf_attr attr = {0};

	return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
}
static long t_perf(void)
{
	struct perf_event_attr attr = {.size = sizeof(attr)};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}
static long t_mount(void)
{
	return mount("none", w.data, "tmpfs", 0, NULL);
}
static long t_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}
static long t_setuid(void)
{
	return syscall(SYS_setuid, 65534);
}
static long t_chroot(void)
{
	return chroot("/");
}
static long t_dup(void)
{
	return dup(w.pair[0]);
}
static long t_fcntl_dup(void)
{
	return fcntl(w.pair[0], F_DUPFD, 100);
}
static long t_pidfd(void)
{
	return syscall(SYS_pidfd_open, getppid(), 0);
}
static long t_landlock(void)
{
	return syscall(444, NULL, 0, 1);
}
static long t_openat2(void)
{
	uint64_t how[3] = {O_RDONLY, 0, 0};

	return syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", how, sizeof(how));
}
static long t_unlink(void)
{
	return unlink(w.socket);
}
static long t_chmod(void)
{
	return chmod(w.data, 0777);
}

static const struct {
	const char *name;
	attempt *try;
} forbidden[] = {
	{"execve", t_execve},
	{"execveat", t_execveat},
	{"clone", t_fork},
	{"fork", t_vfork},
	{"socket", t_socket},
	{"socket inet", t_socket_inet},
	{"socketpair", t_socketpair},
	{"connect", t_connect},
	{"bind", t_bind},
	{"listen", t_listen},
	{"ptrace", t_ptrace},
	{"process_vm_writev", t_vm_write},
	{"process_vm_readv", t_vm_read},
	{"kill the parent", t_kill_parent},
	{"tgkill the parent", t_tgkill_parent},
	{"mprotect to execute", t_mprotect_exec},
	{"mmap to execute", t_mmap_exec},
	{"pkey_mprotect", t_pkey_mprotect},
	{"io_uring_setup", t_ring_setup},
	{"io_uring_register buffers", t_ring_register},
	{"io_uring_register personality", t_ring_probe},
	{"bpf", t_bpf},
	{"perf_event_open", t_perf},
	{"mount", t_mount},
	{"unshare", t_unshare},
	{"setuid", t_setuid},
	{"chroot", t_chroot},
	{"dup", t_dup},
	{"pidfd_open", t_pidfd},
	{"landlock_create_ruleset", t_landlock},
	{"openat2", t_openat2},
	{"chmod", t_chmod},
};
#define N_FORBIDDEN (sizeof(forbidden) / sizeof(forbidden[0]))

static const enum jt_sandbox_kind serving[] = {JT_SANDBOX_WORKER,
					       JT_SANDBOX_HTTP};
static const enum jt_sandbox_kind writing[] = {JT_SANDBOX_SCRIBE,
					       JT_SANDBOX_CLERK};

Test(sandbox, who_makes_a_call_that_is_never_made_is_killed, .init = set_up,
     .fini = tear_down, SKIPPED)
{
	for (size_t k = JT_SANDBOX_WORKER; k < JT_SANDBOX_KINDS; k++)
		for (size_t i = 0; i < N_FORBIDDEN; i++)
			killed((enum jt_sandbox_kind)k, forbidden[i].name,
			       forbidden[i].try);
	for (size_t k = 0; k < 2; k++) {
		killed(serving[k], "unlink", t_unlink);
		killed(serving[k], "memfd_create", t_memfd);
		killed(serving[k], "fcntl to duplicate", t_fcntl_dup);
	}
}

/* ---- files ---- */

static long t_open(void)
{
	return open("/etc/passwd", O_RDONLY);
}
static long t_open_write(void)
{
	return open("/etc/passwd", O_RDWR);
}
static long t_open_proc(void)
{
	return open("/proc/self/maps", O_RDONLY);
}
static long t_open_device(void)
{
	return open("/dev/null", O_RDWR);
}
static long t_open_elsewhere(void)
{
	return openat(AT_FDCWD, w.elsewhere, O_RDONLY | O_DIRECTORY);
}
static long t_make_elsewhere(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/x", w.elsewhere);
	return open(path, O_RDWR | O_CREAT, 0600);
}
static long t_open_data(void)
{
	return openat(w.dir, "x", O_RDWR | O_CREAT, 0600);
}
/* by a ring, which seccomp does not see */
static long t_ring_open(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&w.ring);
	struct io_uring_cqe *cqe;

	io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
	if (io_uring_submit_and_wait(&w.ring, 1) < 0 ||
	    io_uring_peek_cqe(&w.ring, &cqe))
		return -1;
	errno = cqe->res < 0 ? -cqe->res : 0;
	return cqe->res < 0 ? -1 : 0;
}

Test(sandbox, a_worker_opens_no_file_by_whatever_way, .init = set_up,
     .fini = tear_down, SKIPPED)
{
	static attempt *const ways[] = {
		t_open,		  t_open_write,	    t_open_proc, t_open_device,
		t_open_elsewhere, t_make_elsewhere, t_open_data};

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
			struct outcome o = inside(serving[k], ways[i]);

			/* told, not killed: a C library may ask */
			cr_expect_eq(o.err, EPERM, "%s, way %zu: %d",
				     kinds[serving[k]], i, o.err);
		}
	cr_expect_eq(inside(JT_SANDBOX_WORKER, t_ring_open).err, EACCES,
		     "Landlock lets a ring open a file");
}

Test(sandbox, who_writes_does_so_in_the_data_directory_alone, .init = set_up,
     .fini = tear_down, SKIPPED)
{
	for (size_t k = 0; k < 2; k++) {
		allowed(writing[k], "a file in data", t_open_data);
		denied(writing[k], "/etc/passwd", t_open);
		denied(writing[k], "/etc/passwd for writing", t_open_write);
		denied(writing[k], "another directory", t_open_elsewhere);
		denied(writing[k], "a file elsewhere", t_make_elsewhere);
	}
	denied(JT_SANDBOX_SCRIBE, "/proc", t_open_proc);
}

/* ---- identity ---- */

static long t_reopen_identity(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", w.fds.identity);
	return open(path, O_RDWR);
}
static long t_map_identity(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
		    w.fds.identity, 0) == MAP_FAILED
		       ? -1
		       : 0;
}
static long t_turn_identity(void)
{
	void *at;

	memcpy(&at, &w.maps.identity, sizeof(at));
	return mprotect(at, 4096, PROT_READ | PROT_WRITE);
}
static long t_pwrite_identity(void)
{
	return pwrite(w.fds.identity, "x", 1, 0);
}
static long t_write_identity(void)
{
	return write(w.fds.identity, "x", 1);
}
static long t_truncate_identity(void)
{
	return ftruncate(w.fds.identity, 0);
}
static long t_store_identity(void)
{
	_Atomic uint64_t *at;

	memcpy(&at, &w.maps.identity, sizeof(at));
	jt_store_relaxed(at, 0); /* relaxed: it never comes back */
	return 0;
}

Test(sandbox, a_compromised_worker_cannot_write_identity, .init = set_up,
     .fini = tear_down, SKIPPED)
{
	const uint64_t magic = w.keepers.identity->magic;

	for (size_t k = 0; k < 2; k++) {
		struct outcome o = inside(serving[k], t_store_identity);

		cr_expect_eq(o.signal, SIGSEGV, "a store: signal %d", o.signal);
		denied(serving[k], "reopening it", t_reopen_identity);
		denied(serving[k], "mapping it writable", t_map_identity);
		denied(serving[k], "turning the map", t_turn_identity);
		denied(serving[k], "pwrite", t_pwrite_identity);
		denied(serving[k], "write", t_write_identity);
		denied(serving[k], "ftruncate", t_truncate_identity);
	}
	cr_expect_eq(w.keepers.identity->magic, magic);
}

/* ---- what is written to ---- */

static long t_write_lock(void)
{
	return write(w.lock, "x", 1);
}
static long t_writev_lock(void)
{
	struct iovec v = {(char[]){"x"}, 1};

	return writev(w.lock, &v, 1);
}
/* the kernel looks at the lower half of the number alone */
static long t_write_lock_by_half(void)
{
	return syscall(SYS_write, 1ul << 32 | (unsigned)w.lock, "x", 1);
}
static long t_pwrite_lock(void)
{
	return pwrite(w.lock, "x", 1, 0);
}
static long t_pwritev_lock(void)
{
	struct iovec v = {(char[]){"x"}, 1};

	return pwritev(w.lock, &v, 1, 0);
}
static long t_pwritev2_lock(void)
{
	struct iovec v = {(char[]){"x"}, 1};

	return pwritev2(w.lock, &v, 1, 0, 0);
}
static long t_sendfile_lock(void)
{
	return sendfile(w.lock, w.reader, NULL, 1);
}
static long t_splice_lock(void)
{
	return splice(w.pair[0], NULL, w.lock, NULL, 1, 0);
}
static long t_copy_lock(void)
{
	return copy_file_range(w.lock, &(off_t){0}, w.lock, &(off_t){2048}, 1,
			       0);
}
static long t_truncate_lock(void)
{
	return ftruncate(w.lock, 0);
}
static long t_fallocate_lock(void)
{
	return fallocate(w.lock, 0, 0, 4096);
}
static long t_map_lock(void)
{
	char *at =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, w.lock, 0);

	if (at == MAP_FAILED)
		return -1;
	at[0] = 'x';
	return 0;
}
static long t_turn_lock(void)
{
	char *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, w.lock, 0);

	if (at == MAP_FAILED || mprotect(at, 4096, PROT_READ | PROT_WRITE))
		return -1;
	at[0] = 'x';
	return 0;
}
/* that number may be the lock's by then */
static long t_copy_over_wake(void)
{
	return dup2(w.lock, w.wakes[1]);
}

static const struct {
	const char *name;
	attempt *try;
} of_the_lock[] = {
	{"write", t_write_lock},
	{"writev", t_writev_lock},
	{"write by half the number", t_write_lock_by_half},
	{"pwrite", t_pwrite_lock},
	{"pwritev", t_pwritev_lock},
	{"pwritev2", t_pwritev2_lock},
	{"sendfile", t_sendfile_lock},
	{"splice", t_splice_lock},
	{"copy_file_range", t_copy_lock},
	{"ftruncate", t_truncate_lock},
	{"fallocate", t_fallocate_lock},
	{"a writable map", t_map_lock},
	{"a map turned writable", t_turn_lock},
	{"dup2 over a wake", t_copy_over_wake},
};
#define N_OF_THE_LOCK (sizeof(of_the_lock) / sizeof(of_the_lock[0]))

Test(sandbox, who_serves_cannot_change_the_text_of_the_lock, .init = set_up,
     .fini = tear_down, SKIPPED)
{
	char text[sizeof(lock_text) + 1];

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < N_OF_THE_LOCK; i++)
			killed(serving[k], of_the_lock[i].name,
			       of_the_lock[i].try);
	cr_expect_eq(pread(w.lock, text, sizeof(text), 0), sizeof(lock_text));
	cr_expect_arr_eq(text, lock_text, sizeof(lock_text));
}

static long t_wake(void)
{
	uint64_t one = 1;

	return write(w.wakes[1], &one, sizeof(one)) < 0 ||
			       write(w.wakes[0], &one, sizeof(one)) < 0
		       ? -1
		       : 0;
}
static long t_write(void)
{
	return write(STDERR_FILENO, "", 0);
}
static long t_last_words(void)
{
	struct iovec v = {(char[]){""}, 0};

	return writev(STDERR_FILENO, &v, 1);
}
static long t_write_socket(void)
{
	return write(w.pair[0], "x", 1);
}
static long t_write_output(void)
{
	return write(STDOUT_FILENO, "", 0);
}

Test(sandbox, a_worker_writes_to_wakes_and_standard_error_alone, .init = set_up,
     .fini = tear_down, SKIPPED)
{
	uint64_t n;

	allowed(JT_SANDBOX_WORKER, "wakes", t_wake);
	for (unsigned i = 0; i < 2; i++)
		cr_expect(read(w.wakes[i], &n, sizeof(n)) == sizeof(n) &&
				  n == 1,
			  "%u was not woken", i);
	killed(JT_SANDBOX_HTTP, "wakes, of which it has none", t_wake);
	for (size_t k = 0; k < 2; k++) {
		allowed(serving[k], "a line of the log", t_write);
		allowed(serving[k], "the C library's last words", t_last_words);
		killed(serving[k], "a socket, which is sent to",
		       t_write_socket);
		killed(serving[k], "standard output", t_write_output);
	}
}

/* ---- what has to go on ---- */

static long t_serve(void)
{
	struct pollfd p = {.fd = w.listener, .events = POLLIN};
	int fd;

	if (poll(&p, 1, 5000) != 1)
		return -1;
	fd = accept4(w.listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 || send(fd, "x", 1, MSG_NOSIGNAL) != 1)
		return -1;
	return shutdown(fd, SHUT_RDWR) || close(fd) ? -1 : 0;
}
static long t_credentials(void)
{
	struct ucred peer;
	uint32_t groups[64];
	socklen_t bytes = sizeof(peer), more = sizeof(groups);

	return getsockopt(w.pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &bytes) ||
			       getsockopt(w.pair[0], SOL_SOCKET, SO_PEERGROUPS,
					  groups, &more)
		       ? -1
		       : 0;
}
static long t_memory(void)
{
	char *p = malloc(1 << 20), *q;

	if (!p)
		return -1;
	memset(p, 1, 1 << 20);
	q = realloc(p, 64 << 20);
	free(q);
	q = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return q == MAP_FAILED || madvise(q, 4096, MADV_DONTNEED) ||
			       mprotect(q, 4096, PROT_READ) || munmap(q, 4096)
		       ? -1
		       : 0;
}
static long t_figures(void)
{
	char text[64];
	struct timespec t;
	struct stat st;

	return pread(w.reader, text, sizeof(text), 0) <= 0 ||
			       fstat(w.dir, &st) ||
			       clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t)
		       ? -1
		       : 0;
}
/* a larger table: a descriptor over the link, its seals, its map */
static long t_cross(void)
{
	struct jt_crossing c;
	int fd = -1;

	if (jt_crossing_send(w.pair[1], w.fds.identity, 2))
		return -1;
	jt_crossing_init(&c, w.pair[0], &w.maps, NULL);
	errno = 0;
	jt_crossing_look(&c);
	fd = fcntl(w.fds.identity, F_GET_SEALS);
	return fd < 0 ? -1 : 0;
}
static long t_ring_place(void)
{
	int fd = w.pair[0], none = -1;

	if (io_uring_register_files_update(&w.ring, 3, &fd, 1) != 1 ||
	    io_uring_register_files_update(&w.ring, 3, &none, 1) != 1)
		return -1;
	return 0;
}
static long t_ring_enter(void)
{
	struct io_uring_cqe *cqe;

	io_uring_prep_nop(io_uring_get_sqe(&w.ring));
	if (io_uring_submit_and_wait(&w.ring, 1) < 0 ||
	    io_uring_peek_cqe(&w.ring, &cqe))
		return -1;
	return cqe->res;
}
static long t_date(void)
{
	time_t now = 1;
	struct tm utc;

	return gmtime_r(&now, &utc) ? 0 : -1;
}
static long t_abort(void)
{
	abort();
}

Test(sandbox, what_serving_takes_goes_on, .init = set_up, .fini = tear_down,
     SKIPPED)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int client;

	strcpy(a.sun_path, w.socket);
	for (size_t k = 0; k < 2; k++) {
		client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		cr_assert_eq(connect(client, (void *)&a, sizeof(a)), 0);
		allowed(serving[k], "accept, send, close", t_serve);
		close(client);
		allowed(serving[k], "who calls", t_credentials);
		allowed(serving[k], "memory", t_memory);
		allowed(serving[k], "its own figures", t_figures);
		allowed(serving[k], "another table", t_cross);
		allowed(serving[k], "a date", t_date);
		/* an assertion of ours dies of what it is */
		cr_expect_eq(inside(serving[k], t_abort).signal, SIGABRT);
	}
	allowed(JT_SANDBOX_WORKER, "a ring's places", t_ring_place);
	allowed(JT_SANDBOX_WORKER, "a ring", t_ring_enter);
}

/* ---- the clerk's thread, the keeper ---- */

static void *nothing(void *ctx)
{
	return ctx;
}
static long t_thread(void)
{
	pthread_t t;

	errno = pthread_create(&t, NULL, nothing, NULL);
	if (errno)
		return -1;
	return pthread_join(t, NULL);
}

Test(sandbox, the_clerk_has_threads_and_the_others_have_none, .init = set_up,
     .fini = tear_down, SKIPPED)
{
	allowed(JT_SANDBOX_CLERK, "a thread", t_thread);
	killed(JT_SANDBOX_WORKER, "a thread", t_thread);
	killed(JT_SANDBOX_HTTP, "a thread", t_thread);
	killed(JT_SANDBOX_SCRIBE, "a thread", t_thread);
}

static long t_socket_tcp(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}
static long t_inside(void)
{
	return jt_sandbox_is_inside() ? 0 : -1;
}
/* all that a worker needs before it goes in itself */
static long t_worker(void)
{
	return jt_sandbox_enter(&w.box, JT_SANDBOX_WORKER) == JT_LAYERS_ALL
		       ? 0
		       : -1;
}
static long t_again(void)
{
	for (unsigned i = 0; i < 40; i++) {
		unsigned layers = jt_sandbox_enter(&w.box, JT_SANDBOX_KEEPER);

		if ((layers | JT_LAYER_NO_RIGHTS) != JT_LAYERS_ALL)
			return -1;
	}
	return t_worker();
}

Test(sandbox, a_keeper_forks_workers_and_keeps_off_the_rest, .init = set_up,
     .fini = tear_down, SKIPPED)
{
	const enum jt_sandbox_kind k = JT_SANDBOX_KEEPER;

	allowed(k, "fork", t_fork);
	allowed(k, "a ring", t_ring_setup);
	allowed(k, "a table", t_memfd);
	allowed(k, "a socket on this host", t_socket);
	allowed(k, "settings", t_open);
	allowed(k, "figures of its own", t_open_proc);
	allowed(k, "a file in data", t_open_data);
	allowed(k, "a worker", t_worker);
	denied(k, "a socket to elsewhere", t_socket_tcp);
	denied(k, "a datagram to elsewhere", t_socket_inet);
	denied(k, "writing in /etc", t_open_write);
	denied(k, "a directory of others", t_open_elsewhere);
	denied(k, "a file elsewhere", t_make_elsewhere);
	denied(k, "another program", t_execve);
	denied(k, "ptrace", t_ptrace);
	denied(k, "process_vm_writev", t_vm_write);
	denied(k, "bpf", t_bpf);
	denied(k, "perf_event_open", t_perf);
	denied(k, "mount", t_mount);
	denied(k, "unshare", t_unshare);
	denied(k, "chroot", t_chroot);
}

/* Upgrades: each keeper is started by the one before it. */
Test(sandbox, a_keeper_inside_a_keeper_adds_nothing, .init = set_up,
     .fini = tear_down, SKIPPED)
{
	cr_expect_not(jt_sandbox_is_inside());
	allowed(JT_SANDBOX_KEEPER, "knows it", t_inside);
	allowed(JT_SANDBOX_KEEPER, "forty times, then a worker", t_again);
}

/* ---- the rest ---- */

Test(sandbox, words_name_each_layer)
{
	char text[JT_LAYERS_TEXT];

	jt_sandbox_words(0, text);
	cr_expect_str_eq(text, "none");
	jt_sandbox_words(JT_LAYERS_ALL, text);
	cr_expect_str_eq(text, "no-new-privs no-rights no-dump no-core "
			       "landlock seccomp");
	jt_sandbox_words(JT_LAYER_SECCOMP, text);
	cr_expect_str_eq(text, "seccomp");
}

Test(sandbox, insecure_debug_leaves_a_process_to_debuggers, .init = set_up,
     .fini = tear_down)
{
	pid_t pid;
	int status;

	w.box.insecure = true;
	pid = fork();
	if (pid == 0) {
		unsigned layers = jt_sandbox_enter(&w.box, JT_SANDBOX_WORKER);
		unsigned hidden =
			JT_LAYER_NO_DUMP | JT_LAYER_LANDLOCK | JT_LAYER_SECCOMP;

		_exit((layers & hidden) || !(layers & JT_LAYER_NO_NEW_PRIVS) ||
		      open("/etc/passwd", O_RDONLY) < 0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
}
