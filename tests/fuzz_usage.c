/*
 * fuzz_usage: any file `usage`. The first byte: 0, the bytes are the file;
 * else they are changes of a valid one, and with 2 its sums are set right.
 *
 * Whatever it is, loading it ends, damaged entries are counted and not
 * believed, and the most used of the sound entries of a key is what is found.
 */
#include "admin/usage.h"
#include "tests/fuzz.h"

#include <sodium.h>

#define LINES 24u
#define IMAGE_MAX (JT_USAGE_DATA + 64 * 1024u)
#define HEADER_SUM 496u

static const uint8_t journal_id[16] = "a journal's id.";
static uint8_t good[IMAGE_MAX], image[IMAGE_MAX];
static size_t good_bytes;
static int dir_fd, image_fd;

static void key_of(unsigned n, uint8_t key[32])
{
	memset(key, (int)n + 1, 32);
}

int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	struct jt_usage_file f;
	char path[128];

	assert(sodium_init() >= 0);
	fuzz_make_dir();
	dir_fd = open(fuzz_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(!jt_usage_stage(&f, &jt_io_os, dir_fd, journal_id));
	for (unsigned i = 0; i < LINES; i++) {
		const struct jt_usage u = {i + 1, i, 1700000000u + i, 0, i};
		struct jt_usage_entry e;
		uint8_t key[32];

		key_of(i % (LINES - 4), key); /* some stand there twice */
		jt_usage_pack(&e, journal_id, key, &u);
		assert(!jt_usage_write(&f, i, &e, 1));
	}
	assert(!jt_usage_publish(&f));
	jt_usage_close(&f);
	fuzz_path(path, JT_USAGE_NAME);
	image_fd = open(path, O_RDWR | O_CLOEXEC);
	good_bytes = (size_t)pread(image_fd, good, sizeof(good), 0);
	assert(good_bytes == JT_USAGE_DATA + LINES * 64);
	return 0;
}

static struct jt_usage_entry *entries(void)
{
	return (struct jt_usage_entry *)(image + JT_USAGE_DATA);
}

static void seal(size_t bytes)
{
	static const uint8_t domain[16] = "jeton usage";
	size_t n = bytes < JT_USAGE_DATA ? 0 : (bytes - JT_USAGE_DATA) / 64;

	crypto_generichash_blake2b_salt_personal(image + HEADER_SUM, 16, image,
						 HEADER_SUM, NULL, 0, NULL,
						 domain);
	for (size_t i = 0; i < n; i++) {
		struct jt_usage_entry *e = &entries()[i];
		const struct jt_usage u = {e->uses, e->refusals, e->last_use_s,
					   e->old_use_s, e->quota};
		uint8_t key[JT_USAGE_KEY];

		memcpy(key, e->key, sizeof(key));
		jt_usage_pack(e, journal_id, key, &u);
	}
}

static size_t change(const uint8_t *data, size_t size, bool sums)
{
	size_t bytes = good_bytes;
	struct fuzz_change c;

	memcpy(image, good, good_bytes);
	for (size_t i = 0; i < FUZZ_CHANGES_MAX && size >= sizeof(c); i++) {
		memcpy(&c, data, sizeof(c));
		data += sizeof(c);
		size -= sizeof(c);
		if (c.where % 4 == 0)
			fuzz_apply(&c, image, 512, 16);
		else
			fuzz_apply(&c, image + JT_USAGE_DATA, LINES * 64, 64);
		if (c.how == 255)
			bytes = c.value % (sizeof(image) - 1) + 1;
	}
	if (bytes > good_bytes)
		memset(image + good_bytes, 0x5a, bytes - good_bytes);
	if (sums)
		seal(bytes);
	return bytes;
}

/* What is to be found of KEY, by going through all of it. */
static bool expect(size_t n, const uint8_t key[32], uint64_t *usesp)
{
	bool found = false;
	struct jt_usage u;

	*usesp = 0;
	for (size_t i = 0; i < n; i++) {
		if (memcmp(entries()[i].key, key, JT_USAGE_KEY) ||
		    jt_usage_unpack(&entries()[i], journal_id, &u) !=
			    JT_USAGE_SAVED)
			continue;
		found = true;
		*usesp = u.uses > *usesp ? u.uses : *usesp;
	}
	return found;
}

static void check(const struct jt_usage_table *t, size_t n)
{
	uint64_t want, damaged = 0;
	struct jt_usage u;
	uint8_t key[32];

	for (size_t i = 0; i < n; i++)
		damaged += jt_usage_unpack(&entries()[i], journal_id, &u) ==
			   JT_USAGE_INVALID;
	assert(t->n_damaged == damaged && t->n_rows <= n);
	for (unsigned i = 0; i < LINES; i++) {
		key_of(i, key);
		assert(jt_usage_find(t, key, &u) == expect(n, key, &want));
		assert(!want || u.uses == want);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jt_usage_table t;
	struct jt_usage u;
	uint8_t key[32];
	size_t bytes;
	int rc;

	if (!size || size > sizeof(image))
		return 0;
	if (data[0] == 0) {
		bytes = size - 1;
		memcpy(image, data + 1, bytes);
	} else {
		bytes = change(data + 1, size - 1, data[0] & 2);
	}
	assert(!ftruncate(image_fd, (off_t)bytes));
	assert(pwrite(image_fd, image, bytes, 0) == (ssize_t)bytes);
	rc = jt_usage_load(&t, &jt_io_os, dir_fd, journal_id);
	assert(rc >= 0 && (*jt_usage_why(rc) == '\0') == (rc == 0));
	if (!rc)
		check(&t, (bytes - JT_USAGE_DATA) / 64);
	key_of(0, key);
	assert(!rc || !jt_usage_find(&t, key, &u));
	jt_usage_free(&t);
	return 0;
}
