/*
 * pages: see pages.h.
 *
 * Shared memory gets large pages by asking for them (MADV_COLLAPSE, Linux 6.1),
 * which the setting shmem_enabled forbids only when it says `deny`; so none has
 * to be set by an administrator. A range is collapsed when it holds a page at
 * least: one is touched in each first. Untouched before, nothing is copied, and
 * it is faster than small pages are. Whatever stays in small ones is allocated
 * behind that.
 *
 * A mapping is by large pages only where address and offset in the file agree:
 * so addresses are chosen here, by reserving more and mapping over it.
 */
#include "shm/pages.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Then there are none left, or they are not given: looking on costs time. */
#define FAILED_MAX 8u

static_assert((JT_PAGES_LARGE & (JT_PAGES_LARGE - 1)) == 0, "for rounding");

/* Address space alone, of which the first byte begins a large page. */
static void *claim(size_t bytes)
{
	size_t all = bytes + JT_PAGES_LARGE, before;
	uint8_t *p = mmap(NULL, all, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)p & (JT_PAGES_LARGE - 1);
	if (before)
		munmap(p, before);
	/* the page in which it ends is kept whole */
	bytes = (bytes + 4095u) & ~(size_t)4095u;
	if (before + bytes < all)
		munmap(p + before + bytes, all - before - bytes);
	return p + before;
}

static void *over(void *at, size_t bytes, int prot, int flags, int fd)
{
	void *p = mmap(at, bytes, prot, flags | MAP_FIXED, fd, 0);
	int err = errno;

	if (p != MAP_FAILED)
		return p;
	munmap(at, bytes);
	errno = err;
	return NULL;
}

static size_t page_up(size_t at)
{
	return (at + JT_PAGES_LARGE - 1) & ~(size_t)(JT_PAGES_LARGE - 1);
}

void *jt_pages_map(int fd, size_t bytes, int prot)
{
	void *at = claim(bytes);

	return at ? over(at, bytes, prot, MAP_SHARED, fd) : NULL;
}

int jt_pages_fill(int fd, void *map, size_t from, size_t bytes, size_t *largep)
{
	size_t end = from + bytes;
	unsigned failed = 0;
	int err;

	/* a page of which a part was there before is in use: it stays small */
	for (size_t at = page_up(from);
	     largep && at + JT_PAGES_LARGE <= end && failed < FAILED_MAX;
	     at += JT_PAGES_LARGE) {
		err = posix_fallocate(fd, (off_t)at, 1);
		if (err && err != EINTR)
			return -err;
		if (madvise((uint8_t *)map + at, JT_PAGES_LARGE, MADV_COLLAPSE))
			failed++;
		else
			*largep += JT_PAGES_LARGE;
	}
	do
		err = posix_fallocate(fd, (off_t)from, (off_t)bytes);
	while (err == EINTR);
	return -err;
}

void *jt_pages_reserve(size_t bytes)
{
	void *at = claim(bytes), *p;

	if (!at)
		return NULL;
	p = over(at, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	if (p)
		madvise(p, bytes, MADV_HUGEPAGE); /* refused: small ones */
	return p;
}
