/*
 * fuzz: what fuzzers need in common: a directory of their own, the changes that
 * an input asks for, and what the code under test says on stderr and stdout.
 */
#ifndef JT_TESTS_FUZZ_H
#define JT_TESTS_FUZZ_H

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argcp, char ***argvp);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- a directory, gone at the end ---- */

static char fuzz_dir[64];

static void fuzz_remove(void)
{
	DIR *dir = opendir(fuzz_dir);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(fuzz_dir);
}

/* In memory, if there is such a place: a flush costs nothing there. */
static inline void fuzz_make_dir(void)
{
	const char *given = getenv("TMPDIR");

	snprintf(fuzz_dir, sizeof(fuzz_dir), "%s/fuzz.XXXXXX",
		 given ? given : "/dev/shm");
	if (!mkdtemp(fuzz_dir)) {
		strcpy(fuzz_dir, "/tmp/fuzz.XXXXXX");
		assert(mkdtemp(fuzz_dir));
	}
	atexit(fuzz_remove);
}

static inline void fuzz_path(char path[128], const char *name)
{
	snprintf(path, 128, "%s/%s", fuzz_dir, name);
}

/* ---- changes: 8 bytes of the input each ---- */

struct fuzz_change {
	uint8_t where, how;
	uint16_t at;
	uint32_t value;
};
#define FUZZ_CHANGES_MAX 32u

/*
 * Change 1, 2, 4 or 8 bytes within the N of PART; or copy one of its UNITs, of
 * so many bytes, over another.
 */
static inline void fuzz_apply(const struct fuzz_change *c, uint8_t *part,
			      size_t n, size_t unit)
{
	size_t width = (size_t)1 << c->how % 4, at = c->at % n;
	uint64_t value = c->value, old = 0;
	size_t from = c->value % n;

	if (c->how / 4 % 4 == 3) {
		at -= at % unit;
		from -= from % unit;
		if (at + unit <= n && from + unit <= n)
			memmove(part + at, part + from, unit);
		return;
	}
	if (width > n - at)
		width = n - at;
	memcpy(&old, part + at, width);
	if (c->how / 4 % 4 == 1) /* near the end of what a number can be */
		value = ~value;
	if (c->how / 4 % 4 == 2)
		value ^= old;
	memcpy(part + at, &value, width);
}

/* ---- what is said ---- */

/* Log lines and reasons go past stdio, so it is the descriptor that is lent. */
static int fuzz_stderr = -1;

static inline void fuzz_unhush(void)
{
	if (fuzz_stderr < 0)
		return;
	dup2(fuzz_stderr, STDERR_FILENO);
	close(fuzz_stderr);
	fuzz_stderr = -1;
}

/* Or why it failed would be lost. */
void __assert_fail(const char *what, const char *file, unsigned line,
		   const char *function)
{
	fuzz_unhush();
	fprintf(stderr, "%s:%u: %s: `%s' does not hold\n", file, line, function,
		what);
	abort();
}

static inline void fuzz_lend_stderr(int fd)
{
	fuzz_stderr = dup(STDERR_FILENO);
	assert(fd >= 0 && fuzz_stderr >= 0);
	dup2(fd, STDERR_FILENO);
}

/* From here to fuzz_unhush() nobody hears what is said there. */
static inline void fuzz_hush(void)
{
	static int null = -1;

	if (null < 0)
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	fuzz_lend_stderr(null);
}

/* From fuzz_listen() to fuzz_hear() all that was said, but for what is more. */
struct fuzz_voice {
	FILE *out;
	char *answer; /* stdout, to be freed */
	size_t answer_bytes;
	char said[1 << 16]; /* stderr */
};

static inline int fuzz_ear(void)
{
	static int ear = -1;

	if (ear < 0)
		ear = memfd_create("fuzz", MFD_CLOEXEC);
	return ear;
}

static inline void fuzz_listen(struct fuzz_voice *v)
{
	v->out = stdout;
	v->answer = NULL;
	stdout = open_memstream(&v->answer, &v->answer_bytes);
	assert(stdout && !ftruncate(fuzz_ear(), 0));
	lseek(fuzz_ear(), 0, SEEK_SET);
	fuzz_lend_stderr(fuzz_ear());
}

static inline void fuzz_hear(struct fuzz_voice *v)
{
	ssize_t n;

	fuzz_unhush();
	fclose(stdout);
	stdout = v->out;
	n = pread(fuzz_ear(), v->said, sizeof(v->said) - 1, 0);
	assert(n >= 0);
	v->said[n] = '\0';
}

/* Nothing in TEXT can act on a terminal. */
static inline void fuzz_check_plain(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		assert(((uint8_t)text[i] >= ' ' && text[i] != 0x7f) ||
		       text[i] == '\n' || text[i] == '\t');
}

/* These bytes are what is read from stdin now. */
static inline FILE *fuzz_stdin(const uint8_t *data, size_t size)
{
	static uint8_t copy[1 << 20];
	FILE *before = stdin;

	assert(size && size <= sizeof(copy));
	memcpy(copy, data, size);
	stdin = fmemopen(copy, size, "r");
	assert(stdin);
	return before;
}

static inline void fuzz_stdin_back(FILE *before)
{
	fclose(stdin);
	stdin = before;
}

#endif
