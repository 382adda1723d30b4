/*
 * sandbox_calls: seccomp, by libseccomp.
 *
 * Everybody who parses or writes: a list of what is allowed. Anything else
 * kills the process, since no build of ours ever makes such a call: whoever
 * does is not our code any more, and the keeper tells of a death by SIGSYS. But
 * for a few that a C library makes at moments which nobody foresees (a time
 * zone's file, a message catalogue, the name of a piece of memory): these are
 * answered EPERM, which it takes for "there is none".
 *
 * Arguments are looked at only where the call would be too much without: memory
 * that can be executed, new descriptors, signals to others, what may be
 * registered with a ring, and where it writes. For a call that is allowed
 * whatever its arguments the kernel (5.11) does not even run the filter, so a
 * drain costs what it did.
 *
 * A ring's own operations pass by here: those are confined where the ring is
 * made, and writing is none of them.
 *
 * Who serves writes to standard error, and a worker to the eventfds by which it
 * wakes others; all else goes to sockets, by calls that no file takes. It holds
 * files, too: the lock by which others know that the daemon serves, whose text
 * the admin tool believes. So writes are allowed by number, and memory that is
 * shared with a file is not writable, neither from the start nor later. Numbers
 * stay who they are: who serves cannot copy a descriptor. The kernel looks at
 * the lower half of the number alone, and so do we. A socket can carry the
 * lock's descriptor to a caller in league with it: that one is opened for
 * reading (doors.c), so nobody writes by it either.
 *
 * The keeper: a list of what is forbidden, answered EPERM. It hears no
 * stranger, forks processes that still have to set up rings and sandboxes of
 * their own, looks names up through whatever the host has for that, and starts
 * its successor; what is left to forbid is what none of these needs: the
 * kernel's own knobs, others' memory, mounts and namespaces, sockets that leave
 * the host.
 */
#include "sidecar/sandbox.h"

#include "sidecar/sandbox_mark.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define N(list) (sizeof(list) / sizeof((list)[0]))
#define REGISTER_FILES_UPDATE 6u /* linux/io_uring.h */
#define REGISTER_FILES_UPDATE2 14u
#define UNREGISTER_RING_FDS 21u
#define REGISTER_BY_INDEX 0x80000000u /* a flag of newer libraries */
#define CALL_CLONE3 435

/* Of all; the first ones are the ones of every drain. */
static const int base[] = {
	SCMP_SYS(io_uring_enter), SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),	  SCMP_SYS(epoll_pwait2),
	SCMP_SYS(epoll_ctl),	  SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),	  SCMP_SYS(sendmsg),
	SCMP_SYS(recvmsg),	  SCMP_SYS(read),
	SCMP_SYS(readv),	  SCMP_SYS(poll),
	SCMP_SYS(ppoll),	  SCMP_SYS(close),
	SCMP_SYS(shutdown),	  SCMP_SYS(getsockopt),
	SCMP_SYS(clock_gettime),  SCMP_SYS(gettimeofday),
	SCMP_SYS(time),		  SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),	  SCMP_SYS(restart_syscall),
	SCMP_SYS(madvise),	  SCMP_SYS(munmap),
	SCMP_SYS(mremap),	  SCMP_SYS(brk),
	SCMP_SYS(futex),	  SCMP_SYS(getrandom),
	SCMP_SYS(pread64),	  SCMP_SYS(lseek),
	SCMP_SYS(getdents64),	  SCMP_SYS(fstat),
	SCMP_SYS(getpid),	  SCMP_SYS(gettid),
	SCMP_SYS(getppid),	  SCMP_SYS(geteuid),
	SCMP_SYS(getuid),	  SCMP_SYS(getrusage),
	SCMP_SYS(sched_yield),	  SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* Of who serves clients. */
static const int serving[] = {SCMP_SYS(accept4)};

/* Of who writes in the data directory; where, Landlock says. */
static const int writing[] = {
	SCMP_SYS(openat),    SCMP_SYS(open),	   SCMP_SYS(pwrite64),
	SCMP_SYS(pwritev),   SCMP_SYS(preadv),	   SCMP_SYS(fsync),
	SCMP_SYS(fdatasync), SCMP_SYS(ftruncate),  SCMP_SYS(fallocate),
	SCMP_SYS(fadvise64), SCMP_SYS(flock),	   SCMP_SYS(rename),
	SCMP_SYS(renameat),  SCMP_SYS(renameat2),  SCMP_SYS(linkat),
	SCMP_SYS(unlink),    SCMP_SYS(unlinkat),   SCMP_SYS(mkdirat),
	SCMP_SYS(fchown),    SCMP_SYS(statfs),	   SCMP_SYS(fstatfs),
	SCMP_SYS(stat),	     SCMP_SYS(newfstatat), SCMP_SYS(readlink),
	SCMP_SYS(getcwd),    SCMP_SYS(write),	   SCMP_SYS(writev),
};

/* Of who has a second thread now and then. */
static const int threads[] = {
	SCMP_SYS(set_robust_list),   SCMP_SYS(rseq),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_setattr),
	SCMP_SYS(sched_getattr),     SCMP_SYS(set_tid_address),
};

/* Of who makes a table of its own to write it down. */
static const int making[] = {SCMP_SYS(memfd_create), SCMP_SYS(fchmod)};

/* Of the C library's own accord: there is none, it is told. */
static const int unforeseen[] = {
	SCMP_SYS(open),	  SCMP_SYS(openat), SCMP_SYS(readlink),
	SCMP_SYS(access), SCMP_SYS(prctl),  SCMP_SYS(sysinfo),
};

static const int of_the_kernel[] = {
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(process_madvise),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(kcmp),
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(reboot),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fsmount),
	SCMP_SYS(fspick),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(mknod),
	SCMP_SYS(mknodat),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(adjtimex),
	SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname),
	SCMP_SYS(iopl),
	SCMP_SYS(ioperm),
	SCMP_SYS(modify_ldt),
	SCMP_SYS(personality),
	SCMP_SYS(acct),
	SCMP_SYS(quotactl),
	SCMP_SYS(syslog),
	SCMP_SYS(add_key),
	SCMP_SYS(keyctl),
	SCMP_SYS(request_key),
	SCMP_SYS(fanotify_init),
	SCMP_SYS(io_setup),
};

/* The library's own macros leave fields out. */
static struct scmp_arg_cmp when(unsigned arg, enum scmp_compare op, uint64_t a,
				uint64_t b)
{
	return (struct scmp_arg_cmp){
		.arg = arg, .op = op, .datum_a = a, .datum_b = b};
}

/* Calls that this machine does not have are negative, and none to speak of. */
static int add(scmp_filter_ctx f, uint32_t what, const int *list, size_t n)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < n; i++)
		if (list[i] >= 0)
			rc = seccomp_rule_add(f, what, list[i], 0);
	return rc;
}

static int allow_if(scmp_filter_ctx f, int call, struct scmp_arg_cmp cmp)
{
	return seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 1, cmp);
}

/* No code. */
static int allow_memory(scmp_filter_ctx f)
{
	int rc = allow_if(f, SCMP_SYS(mmap),
			  when(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	return rc ? rc
		  : allow_if(f, SCMP_SYS(mprotect),
			     when(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/* No code, and nothing that a file would see. */
static int allow_own_memory(scmp_filter_ctx f)
{
	const struct scmp_arg_cmp no_code =
		when(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	const struct scmp_arg_cmp reads =
		when(2, SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, 0);
	const struct scmp_arg_cmp private =
		when(3, SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS);
	int rc = allow_if(f, SCMP_SYS(mmap), reads);

	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
				      no_code, private);
	return rc ? rc : allow_if(f, SCMP_SYS(mprotect), reads);
}

static int allow_write_to(scmp_filter_ctx f, int call, int fd)
{
	return allow_if(f, call,
			when(0, SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)fd));
}

/* The C library says by the second call what it dies of. */
static int allow_writes(scmp_filter_ctx f, const struct jt_sandbox *box,
			enum jt_sandbox_kind kind)
{
	unsigned n = kind == JT_SANDBOX_WORKER ? box->n_wakes : 0;
	int rc = allow_write_to(f, SCMP_SYS(write), STDERR_FILENO);

	if (!rc)
		rc = allow_write_to(f, SCMP_SYS(writev), STDERR_FILENO);
	for (unsigned i = 0; !rc && i < n; i++)
		rc = allow_write_to(f, SCMP_SYS(write), box->wakes[i]);
	return rc;
}

/* Look, and block or not; no copy of a descriptor. */
static int allow_fcntl(scmp_filter_ctx f, bool copies)
{
	static const unsigned looks[] = {F_GETFD, F_GETFL, F_SETFL,
					 F_GET_SEALS};
	int rc = 0;

	for (size_t i = 0; !rc && i < N(looks); i++)
		rc = allow_if(f, SCMP_SYS(fcntl),
			      when(1, SCMP_CMP_EQ, looks[i], 0));
	if (!rc && copies)
		rc = allow_if(f, SCMP_SYS(fcntl),
			      when(1, SCMP_CMP_EQ, F_DUPFD_CLOEXEC, 0));
	return rc;
}

/* abort(3) kills itself; nobody else. */
static int allow_abort(scmp_filter_ctx f)
{
	return allow_if(f, SCMP_SYS(tgkill),
			when(0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
}

/* fstat(2) under its newer name. A path's owner and size could be asked, too:
 * what the pointer points to no filter sees. */
static int allow_fstat(scmp_filter_ctx f)
{
	return allow_if(
		f, SCMP_SYS(newfstatat),
		when(3, SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
}

/* Places of a table of descriptors that is there, loop.c. */
static int allow_ring(scmp_filter_ctx f)
{
	static const unsigned ops[] = {REGISTER_FILES_UPDATE,
				       REGISTER_FILES_UPDATE2,
				       UNREGISTER_RING_FDS};
	int rc = 0;

	for (size_t i = 0; !rc && i < N(ops); i++)
		rc = allow_if(f, SCMP_SYS(io_uring_register),
			      when(1, SCMP_CMP_MASKED_EQ,
				   0xffffffffu & ~REGISTER_BY_INDEX, ops[i]));
	return rc;
}

static int allow_tcp_options(scmp_filter_ctx f)
{
	return allow_if(f, SCMP_SYS(setsockopt),
			when(1, SCMP_CMP_EQ, IPPROTO_TCP, 0));
}

/* A thread, no process. The newer call hides that behind a pointer: without it
 * the C library makes the older one. */
static int allow_threads(scmp_filter_ctx f)
{
	int rc = add(f, SCMP_ACT_ALLOW, threads, N(threads));

	if (!rc)
		rc = allow_if(f, SCMP_SYS(clone),
			      when(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD,
				   CLONE_THREAD));
	return rc ? rc
		  : seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), CALL_CLONE3, 0);
}

static int fill_common(scmp_filter_ctx f)
{
	int rc = add(f, SCMP_ACT_ALLOW, base, N(base));

	return rc ? rc : allow_abort(f);
}

static int fill_serving(scmp_filter_ctx f, const struct jt_sandbox *box,
			enum jt_sandbox_kind kind)
{
	int rc = add(f, SCMP_ACT_ALLOW, serving, N(serving));

	if (!rc)
		rc = allow_own_memory(f);
	if (!rc)
		rc = allow_writes(f, box, kind);
	if (!rc)
		rc = add(f, SCMP_ACT_ERRNO(EPERM), unforeseen, N(unforeseen));
	if (!rc)
		rc = allow_fstat(f);
	if (!rc)
		rc = allow_fcntl(f, false);
	if (rc)
		return rc;
	return kind == JT_SANDBOX_WORKER ? allow_ring(f) : allow_tcp_options(f);
}

static int fill_writing(scmp_filter_ctx f, enum jt_sandbox_kind kind)
{
	int rc = add(f, SCMP_ACT_ALLOW, writing, N(writing));

	if (!rc)
		rc = allow_memory(f);
	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl),
				      0);
	if (!rc)
		rc = allow_fcntl(f, true);
	if (rc || kind == JT_SANDBOX_SCRIBE)
		return rc;
	rc = add(f, SCMP_ACT_ALLOW, making, N(making));
	if (!rc)
		rc = allow_if(f, SCMP_SYS(fcntl),
			      when(1, SCMP_CMP_EQ, F_ADD_SEALS, 0));
	return rc ? rc : allow_threads(f);
}

/* Upgrades hand over what listens to the network; nobody else opens any. */
static int fill_keeper(scmp_filter_ctx f)
{
	int rc = add(f, SCMP_ACT_ERRNO(EPERM), of_the_kernel, N(of_the_kernel));

	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EAFNOSUPPORT),
				      SCMP_SYS(socket), 1,
				      when(0, SCMP_CMP_NE, AF_UNIX, 0));
	return rc ? rc
		  : seccomp_rule_add(f, SCMP_ACT_ERRNO(JT_MARK_ANSWER),
				     SCMP_SYS(getpriority), 1,
				     when(0, SCMP_CMP_EQ, JT_MARK_ASKED, 0));
}

static int fill(scmp_filter_ctx f, const struct jt_sandbox *box,
		enum jt_sandbox_kind kind)
{
	int rc;

	if (kind == JT_SANDBOX_KEEPER)
		return fill_keeper(f);
	rc = fill_common(f);
	if (rc)
		return rc;
	return kind == JT_SANDBOX_WORKER || kind == JT_SANDBOX_HTTP
		       ? fill_serving(f, box, kind)
		       : fill_writing(f, kind);
}

int jt_sandbox_calls(const struct jt_sandbox *box, enum jt_sandbox_kind kind)
{
	scmp_filter_ctx f =
		seccomp_init(kind == JT_SANDBOX_KEEPER ? SCMP_ACT_ALLOW
						       : SCMP_ACT_KILL_PROCESS);
	int rc;

	if (!f)
		return -ENOMEM;
	/* calls of another kind of machine have other numbers */
	rc = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH,
			      SCMP_ACT_KILL_PROCESS);
	if (!rc)
		rc = fill(f, box, kind);
	/* a tree instead of a list; one that knows none makes a list */
	if (!rc && kind != JT_SANDBOX_KEEPER)
		seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!rc)
		rc = seccomp_load(f);
	seccomp_release(f);
	return rc;
}
