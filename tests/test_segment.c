/* segment: what is sealed, what is refused, and what it costs. */
#include "shm/segment.h"

#include "tests/help_table.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALL_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static struct help_table t;

static void start(void)
{
	help_table_new(&t, 1000);
}

TestSuite(segment, .init = start);

static uint64_t bytes_of(uint64_t capacity)
{
	const struct jt_segment_size size = {
		.capacity = capacity, .pool_bytes = jt_segment_pool(capacity)};

	return jt_segment_bytes(&size);
}

Test(segment, costs_less_than_190_bytes_a_token)
{
	cr_expect_lt(bytes_of(1000000), 190u * 1000000u);
	cr_expect_lt(bytes_of(10000000), 190u * 10000000u);
	cr_expect_geq(bytes_of(131072), 21u * 1000000u);
	cr_expect_leq(bytes_of(131072), 26u * 1000000u);
}

Test(segment, size_is_what_is_really_taken)
{
	const struct jt_segment_size size = {.capacity = 1000,
					     .pool_bytes = 65536};
	struct stat identity, meters;

	cr_assert(!fstat(t.fds.identity, &identity));
	cr_assert(!fstat(t.fds.meters, &meters));
	cr_expect_eq((uint64_t)(identity.st_size + meters.st_size),
		     jt_segment_bytes(&size));
	cr_expect_geq((identity.st_blocks + meters.st_blocks) * 512,
		      identity.st_size + meters.st_size, "not allocated");
	cr_expect_eq(identity.st_mode & 0777, 0600);
	cr_expect_eq(meters.st_mode & 0777, 0600);
}

Test(segment, slots_hold_the_capacity_at_a_load_of_0_75)
{
	static const uint64_t some[] = {
		1, 2, 3, 64, 1000, 4097, 1000000, 4000000000, UINT32_MAX};

	for (unsigned i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		uint64_t slots = jt_segment_slots(some[i]);

		cr_expect_gt(slots, some[i]);
		cr_expect_leq((double)some[i] * 1.05 / (double)slots, 0.7501);
	}
}

Test(segment, header_of_a_new_one_says_loading_and_empty)
{
	const struct jt_segment_size size = {.capacity = 70,
					     .pool_bytes = 100,
					     .prefix = "acme",
					     .env = 0x65766963};
	const uint8_t id[16] = "0123456789abcde";
	struct jt_segment_fds fds;
	struct jt_maps maps;

	cr_assert_eq(jt_segment_create(&size, id, &fds, &maps), 0);
	cr_expect_eq(maps.identity, maps.identity_rw);
	cr_expect_arr_eq(maps.identity->journal_id, id, 16);
	cr_expect_eq(maps.identity->state, JT_IDENTITY_LOADING);
	cr_expect_eq(maps.identity->capacity, 70);
	cr_expect_geq(maps.identity->pool_bytes, 100);
	cr_expect_eq(maps.identity->applied, 0);
	cr_expect_eq(maps.identity->tokens, 0);
	cr_expect_eq(maps.identity->used, 0);
	cr_expect_str_eq(maps.identity->prefix, "acme");
	cr_expect_eq(maps.identity->env, 0x65766963);
	cr_expect_eq(maps.identity->schemes, 0);
	cr_expect_eq(maps.identity->plans, 0);
	cr_expect_eq(maps.identity->sets, 0);
	cr_expect_eq(maps.identity->scopes, 0);
	for (uint64_t i = 0; i < maps.identity->slots; i++)
		cr_assert_eq(maps.slots[i].a, 0);
	cr_expect_neq(maps.identity->seed, t.maps.identity->seed);
	jt_segment_unmap(&maps);
	cr_expect_null(maps.identity);
	cr_expect_null(maps.meters);
}

Test(segment, other_map_sees_what_the_keeper_writes)
{
	cr_expect_null(t.reader.identity_rw);
	cr_expect_neq(t.reader.identity, t.maps.identity);
	jt_store_seq(&t.maps.identity_rw->applied, 4711);
	cr_expect_eq(jt_load_seq(&t.reader.identity->applied), 4711);
	jt_store_seq(&t.reader.lines[999].uses, 3);
	cr_expect_eq(jt_load_seq(&t.maps.lines[999].uses), 3);
	jt_store_seq(&t.reader.board[JT_WORKERS_MAX - 1].busy, 5);
	cr_expect_eq(jt_load_seq(&t.maps.board[JT_WORKERS_MAX - 1].busy), 5);
}

Test(segment, sizes_that_cannot_be_are_refused)
{
	static const struct {
		uint64_t capacity, pool_bytes;
	} bad[] = {
		{0, 65536},	     {UINT32_MAX + 1ull, 65536},
		{UINT64_MAX, 65536}, {64, UINT32_MAX + 1ull},
		{64, UINT64_MAX},
	};
	struct jt_segment_fds fds;
	struct jt_maps maps;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct jt_segment_size size = {
			.capacity = bad[i].capacity,
			.pool_bytes = bad[i].pool_bytes};

		cr_expect_eq(jt_segment_create(&size, (const uint8_t[16]){0},
					       &fds, &maps),
			     -EINVAL, "%u", i);
	}
}

Test(segment, too_little_memory_is_told_and_nothing_leaks)
{
	const struct jt_segment_size size = {.capacity = UINT32_MAX,
					     .pool_bytes = 65536};
	const struct rlimit small = {1 << 20, 1 << 20};
	struct jt_segment_fds fds;
	struct jt_maps maps;
	int before = dup(0), after, rc;

	close(before);
	signal(SIGXFSZ, SIG_IGN);
	cr_assert(!setrlimit(RLIMIT_FSIZE, &small));
	rc = jt_segment_create(&size, (const uint8_t[16]){0}, &fds, &maps);
	cr_expect_neq(rc, 0);
	cr_expect_null(maps.identity);
	after = dup(0);
	cr_expect_eq(before, after, "a descriptor was left open");
}

Test(segment, neither_can_be_resized)
{
	off_t identity = (off_t)t.maps.identity_bytes;
	off_t meters = (off_t)t.maps.meters_bytes;

	cr_expect_eq(ftruncate(t.fds.identity, identity - 4096), -1);
	cr_expect_eq(errno, EPERM);
	cr_expect_eq(ftruncate(t.fds.identity, identity + 4096), -1);
	cr_expect_eq(errno, EPERM);
	cr_expect_eq(ftruncate(t.fds.meters, meters - 4096), -1);
	cr_expect_eq(errno, EPERM);
	cr_expect_eq(ftruncate(t.fds.meters, meters + 4096), -1);
	cr_expect_eq(errno, EPERM);
	cr_expect_eq(fallocate(t.fds.identity,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			       4096),
		     -1);
}

Test(segment, seals_themselves_are_sealed)
{
	int identity = fcntl(t.fds.identity, F_GET_SEALS);
	int meters = fcntl(t.fds.meters, F_GET_SEALS);

	cr_expect_eq(identity & ALL_SEALS, ALL_SEALS);
	cr_expect(identity & F_SEAL_FUTURE_WRITE);
	cr_expect_eq(meters & ALL_SEALS, ALL_SEALS);
	cr_expect_not(meters & F_SEAL_FUTURE_WRITE);
	cr_expect_eq(fcntl(t.fds.meters, F_ADD_SEALS, F_SEAL_WRITE), -1);
}

Test(segment, identity_has_no_second_writable_map)
{
	size_t bytes = t.maps.identity_bytes;
	char path[64], byte = 1;
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			 t.fds.identity, 0);
	int again;

	cr_expect_eq(map, MAP_FAILED);
	cr_expect_eq(errno, EPERM);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", t.fds.identity);
	again = open(path, O_RDWR | O_CLOEXEC);
	cr_assert(again >= 0);
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
	cr_expect_eq(map, MAP_FAILED);
	cr_expect_eq(errno, EPERM);
	cr_expect_eq(pwrite(again, &byte, 1, JT_PAGE), -1);
	cr_expect_eq(errno, EPERM);
}

Test(segment, read_only_map_cannot_be_turned)
{
	uintptr_t page = (uintptr_t)t.reader.identity;

	cr_expect_eq(mprotect((void *)page, t.reader.identity_bytes,
			      PROT_READ | PROT_WRITE),
		     -1);
	cr_expect_eq(errno, EACCES);
}

/* How a child ends that does WHAT; 0: unharmed. */
static int child(void (*what)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL); /* the sanitizer has its own */
		what();
		_exit(0);
	}
	cr_assert(pid > 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void write_inherited(void)
{
	jt_store_seq(&t.maps.identity_rw->state, JT_IDENTITY_RETIRED);
}

static void write_reader(void)
{
	uintptr_t at = (uintptr_t)t.reader.slots;

	*(uint64_t *)at = 1;
}

static void write_meter(void)
{
	jt_store_seq(&t.reader.lines[0].uses, 77);
}

Test(segment, writable_identity_is_not_inherited)
{
	cr_expect_eq(child(write_inherited), SIGSEGV);
	cr_expect_eq(jt_load_seq(&t.maps.identity->state), JT_IDENTITY_SERVING);
}

Test(segment, worker_that_writes_identity_dies_alone)
{
	cr_expect_eq(child(write_reader), SIGSEGV);
	cr_expect_eq(t.maps.slots[0].key, 0);
	cr_expect_eq(child(write_meter), 0);
	cr_expect_eq(t.maps.lines[0].uses, 77);
}

/* ---- what is refused ---- */

/* A memfd with the contents of FD, the word at OFF replaced, and SEALS. */
static int forge(int fd, size_t off, uint64_t word, off_t more, int seals)
{
	int copy = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char page[4096];
	off_t at = 0;
	ssize_t n;

	cr_assert(copy >= 0);
	while ((n = pread(fd, page, sizeof(page), at)) > 0) {
		cr_assert_eq(pwrite(copy, page, (size_t)n, at), n);
		at += n;
	}
	cr_assert_eq(pwrite(copy, &word, 8, (off_t)off), 8);
	cr_assert_eq(ftruncate(copy, at + more), 0);
	if (seals)
		cr_assert_eq(fcntl(copy, F_ADD_SEALS, seals), 0);
	return copy;
}

static int map(int identity, int meters)
{
	const struct jt_segment_fds fds = {identity, meters};
	struct jt_maps maps;
	int rc = jt_segment_map(&fds, &maps);

	if (rc) {
		cr_expect_null(maps.identity);
		cr_expect_null(maps.meters);
	} else {
		jt_segment_unmap(&maps);
	}
	return rc;
}

static uint64_t word_at(const void *base, size_t off)
{
	uint64_t word;

	memcpy(&word, (const char *)base + off, 8);
	return word;
}

/* Does map() refuse identity with each bit of that word flipped? */
static void expect_identity_checked(size_t off)
{
	uint64_t good = word_at(t.maps.identity, off);

	for (unsigned bit = 0; bit < 64; bit += 9) {
		int fd = forge(t.fds.identity, off, good ^ 1ull << bit, 0,
			       ALL_SEALS | F_SEAL_FUTURE_WRITE);

		cr_expect_eq(map(fd, t.fds.meters), JT_SEGMENT_E_MISMATCH,
			     "word %zu bit %u", off, bit);
		close(fd);
	}
}

static void expect_meters_checked(size_t off)
{
	uint64_t good = word_at(t.maps.meters, off);

	for (unsigned bit = 0; bit < 64; bit += 9) {
		int fd = forge(t.fds.meters, off, good ^ 1ull << bit, 0,
			       ALL_SEALS);

		cr_expect_eq(map(t.fds.identity, fd), JT_SEGMENT_E_MISMATCH,
			     "word %zu bit %u", off, bit);
		close(fd);
	}
}

Test(segment, copy_with_the_same_bytes_maps)
{
	int identity = forge(t.fds.identity, 0, word_at(t.maps.identity, 0), 0,
			     ALL_SEALS | F_SEAL_FUTURE_WRITE);
	int meters =
		forge(t.fds.meters, 0, word_at(t.maps.meters, 0), 0, ALL_SEALS);

	cr_expect_eq(map(identity, meters), 0);
}

Test(segment, identity_with_another_header_is_refused)
{
	expect_identity_checked(offsetof(struct jt_identity, magic));
	expect_identity_checked(offsetof(struct jt_identity, fingerprint));
	expect_identity_checked(offsetof(struct jt_identity, size_bytes));
	expect_identity_checked(offsetof(struct jt_identity, slots));
	expect_identity_checked(offsetof(struct jt_identity, capacity));
	expect_identity_checked(offsetof(struct jt_identity, slots_off));
	expect_identity_checked(offsetof(struct jt_identity, plans_off));
	expect_identity_checked(offsetof(struct jt_identity, limits_off));
	expect_identity_checked(offsetof(struct jt_identity, sets_off));
	expect_identity_checked(offsetof(struct jt_identity, scopes_off));
	expect_identity_checked(offsetof(struct jt_identity, pool_off));
}

Test(segment, meters_with_another_header_are_refused)
{
	expect_meters_checked(offsetof(struct jt_meters, magic));
	expect_meters_checked(offsetof(struct jt_meters, fingerprint));
	expect_meters_checked(offsetof(struct jt_meters, size_bytes));
	expect_meters_checked(offsetof(struct jt_meters, lines));
	expect_meters_checked(offsetof(struct jt_meters, board_off));
	expect_meters_checked(offsetof(struct jt_meters, lines_off));
}

Test(segment, other_version_is_refused)
{
	size_t off = offsetof(struct jt_identity, version);
	int identity = forge(t.fds.identity, off, JT_LAYOUT_VERSION + 1, 0,
			     ALL_SEALS | F_SEAL_FUTURE_WRITE);
	int meters =
		forge(t.fds.meters, off, JT_LAYOUT_VERSION + 1, 0, ALL_SEALS);

	cr_expect_eq(map(identity, t.fds.meters), JT_SEGMENT_E_MISMATCH);
	cr_expect_eq(map(t.fds.identity, meters), JT_SEGMENT_E_MISMATCH);
}

Test(segment, pool_that_reaches_beyond_the_end_is_refused)
{
	static const uint64_t sizes[] = {0, 65536 + 4096, 1ull << 31,
					 UINT32_MAX, UINT64_MAX};

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int fd = forge(t.fds.identity,
			       offsetof(struct jt_identity, pool_bytes),
			       sizes[i], 0, ALL_SEALS | F_SEAL_FUTURE_WRITE);

		cr_expect_eq(map(fd, t.fds.meters), JT_SEGMENT_E_MISMATCH);
		close(fd);
	}
}

Test(segment, wrong_size_is_refused)
{
	static const off_t more[] = {-4096, -1, 1, 4096};

	for (unsigned i = 0; i < 4; i++) {
		int identity = forge(t.fds.identity, 0, JT_IDENTITY_MAGIC,
				     more[i], ALL_SEALS | F_SEAL_FUTURE_WRITE);
		int meters = forge(t.fds.meters, 0, JT_METERS_MAGIC, more[i],
				   ALL_SEALS);

		cr_expect_eq(map(identity, t.fds.meters),
			     JT_SEGMENT_E_MISMATCH);
		cr_expect_eq(map(t.fds.identity, meters),
			     JT_SEGMENT_E_MISMATCH);
		close(identity);
		close(meters);
	}
}

Test(segment, unsealed_memory_is_refused)
{
	static const int some[] = {
		0, F_SEAL_SHRINK, F_SEAL_SHRINK | F_SEAL_GROW,
		F_SEAL_GROW | F_SEAL_SEAL, F_SEAL_SHRINK | F_SEAL_SEAL};

	for (unsigned i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		int identity =
			forge(t.fds.identity, 0, JT_IDENTITY_MAGIC, 0, some[i]);
		int meters =
			forge(t.fds.meters, 0, JT_METERS_MAGIC, 0, some[i]);

		cr_expect_eq(map(identity, t.fds.meters), JT_SEGMENT_E_SEAL);
		cr_expect_eq(map(t.fds.identity, meters), JT_SEGMENT_E_SEAL);
		close(identity);
		close(meters);
	}
}

Test(segment, identity_that_others_may_write_is_refused)
{
	int fd = forge(t.fds.identity, 0, JT_IDENTITY_MAGIC, 0, ALL_SEALS);

	cr_expect_eq(map(fd, t.fds.meters), JT_SEGMENT_E_SEAL);
}

Test(segment, other_files_are_refused)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int empty = memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int pipes[2];

	cr_assert(!pipe(pipes));
	cr_assert_eq(fcntl(empty, F_ADD_SEALS, ALL_SEALS | F_SEAL_FUTURE_WRITE),
		     0);
	cr_expect_neq(map(null, t.fds.meters), 0);
	cr_expect_neq(map(file, t.fds.meters), 0);
	cr_expect_neq(map(pipes[0], pipes[1]), 0);
	cr_expect_neq(map(t.fds.identity, file), 0);
	cr_expect_eq(map(-1, t.fds.meters), -EBADF);
	cr_expect_eq(map(empty, t.fds.meters), JT_SEGMENT_E_MISMATCH);
	cr_expect_eq(map(t.fds.identity, empty), JT_SEGMENT_E_MISMATCH);
}

Test(segment, two_kinds_changed_about_are_refused)
{
	struct help_table other;

	help_table_new(&other, 900); /* it has too few lines */
	cr_expect_eq(map(t.fds.meters, t.fds.identity), JT_SEGMENT_E_SEAL);
	cr_expect_neq(map(t.fds.identity, t.fds.identity), 0);
	cr_expect_neq(map(t.fds.meters, t.fds.meters), 0);
	cr_expect_eq(map(t.fds.identity, other.fds.meters),
		     JT_SEGMENT_E_MISMATCH);
	cr_expect_eq(map(t.fds.identity, t.fds.meters), 0);
}
