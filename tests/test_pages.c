/* pages: memory that is there, at addresses that large pages can have. */
#include "shm/pages.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ODD_BYTES (3u * JT_PAGES_LARGE + 12288u)

static int make(size_t bytes)
{
	int fd = memfd_create("pages", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

Test(pages, a_mapping_begins_where_a_large_page_may)
{
	int fd = make(ODD_BYTES);

	for (unsigned i = 0; i < 8; i++) {
		void *map = jt_pages_map(fd, ODD_BYTES, PROT_READ);

		cr_assert_not_null(map);
		cr_assert_eq((uintptr_t)map % JT_PAGES_LARGE, 0);
	}
}

Test(pages, all_of_it_has_its_memory_and_is_zero)
{
	int fd = make(ODD_BYTES);
	uint8_t *map = jt_pages_map(fd, ODD_BYTES, PROT_READ | PROT_WRITE);
	size_t large = 0;
	struct stat st;

	cr_assert_eq(jt_pages_fill(fd, map, 0, ODD_BYTES, &large), 0);
	cr_assert_leq(large, 3u * JT_PAGES_LARGE);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_geq((size_t)st.st_blocks * 512, ODD_BYTES);
	for (size_t i = 0; i < ODD_BYTES; i++)
		cr_assert_eq(map[i], 0);
	memset(map, 1, ODD_BYTES);
}

Test(pages, what_is_smaller_than_a_large_page_is_filled_too)
{
	int fd = make(4096);
	uint8_t *map = jt_pages_map(fd, 4096, PROT_READ | PROT_WRITE);
	size_t large = 0;

	cr_assert_eq(jt_pages_fill(fd, map, 0, 4096, &large), 0);
	cr_assert_eq(large, 0);
	map[4095] = 1;
}

Test(pages, a_mapping_goes_no_further_than_asked)
{
	int fd = make(ODD_BYTES);
	uint8_t *map = jt_pages_map(fd, ODD_BYTES, PROT_READ);
	unsigned char in_core;

	/* ENOMEM: nothing is mapped there */
	cr_assert_eq(mincore(map + ODD_BYTES, 4096, &in_core), -1);
	cr_assert_eq(errno, ENOMEM);
	cr_assert_eq(munmap(map, ODD_BYTES), 0);
	cr_assert_eq(mincore(map, 4096, &in_core), -1);
}

Test(pages, a_descriptor_that_cannot_be_mapped_is_an_error)
{
	cr_assert_null(jt_pages_map(-1, 4096, PROT_READ));
	cr_assert_eq(errno, EBADF);
}

Test(pages, more_than_there_is_says_so)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	size_t large = 0;

	cr_assert_lt(jt_pages_fill(fd, NULL, 0, 4096, &large), 0);
}

Test(pages, private_memory_is_zero_and_untouched)
{
	uint8_t *p = jt_pages_reserve(ODD_BYTES);

	cr_assert_not_null(p);
	cr_assert_eq((uintptr_t)p % JT_PAGES_LARGE, 0);
	for (size_t i = 0; i < ODD_BYTES; i += 512)
		cr_assert_eq(p[i], 0);
}
