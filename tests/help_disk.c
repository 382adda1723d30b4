/*
 * help_disk: the model; see the header.
 */
#include "tests/help_disk.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t no_bytes[DISK_PAGE];

unsigned disk_together = 1;

static void file_clear(struct disk_file *f)
{
	for (unsigned i = 0; i < DISK_PAGES; i++)
		free(f->page[i]);
	*f = (struct disk_file){.used = false};
}

void disk_clear(struct disk *d)
{
	for (unsigned i = 0; i < DISK_FILES; i++)
		if (d->file[i].used)
			file_clear(&d->file[i]);
	memset(d, 0, sizeof(*d));
	d->dir_mode = 0700;
}

static struct disk_page *page_copy(const struct disk_page *from)
{
	struct disk_page *p;

	if (from == NULL)
		return NULL;
	p = malloc(sizeof(*p));
	assert(p != NULL);
	*p = *from;
	return p;
}

void disk_copy(struct disk *to, const struct disk *from)
{
	disk_clear(to);
	*to = *from;
	for (unsigned i = 0; i < DISK_FILES; i++) {
		if (!from->file[i].used)
			continue;
		for (unsigned k = 0; k < DISK_PAGES; k++)
			to->file[i].page[k] = page_copy(from->file[i].page[k]);
	}
}

static struct disk_name *name_find(struct disk_name *names, const char *name)
{
	for (unsigned i = 0; i < DISK_NAMES; i++)
		if (strcmp(names[i].name, name) == 0)
			return &names[i];
	return NULL;
}

static void names_apply(struct disk_name *names, const struct disk_change *c)
{
	struct disk_name *n = c->remove[0] ? name_find(names, c->remove) : NULL;

	if (n != NULL)
		n->name[0] = '\0';
	if (c->add[0] == '\0')
		return;
	n = name_find(names, c->add);
	if (n == NULL)
		n = name_find(names, "");
	assert(n != NULL);
	strcpy(n->name, c->add);
	n->file = c->file;
}

int disk_find(const struct disk *d, const char *name)
{
	for (unsigned i = 0; i < DISK_NAMES; i++)
		if (strcmp(d->now[i].name, name) == 0)
			return d->now[i].file;
	return -1;
}

void disk_change(struct disk *d, const char *add, int file, const char *remove)
{
	struct disk_change *c = &d->pending[d->n_pending++];

	assert(d->n_pending <= DISK_PENDING);
	assert(strlen(add) < DISK_NAME_MAX && strlen(remove) < DISK_NAME_MAX);
	strcpy(c->add, add);
	strcpy(c->remove, remove);
	c->file = file;
	names_apply(d->now, c);
}

int disk_make(struct disk *d, const char *name, mode_t mode, uid_t uid)
{
	int i = 0;

	while (i < DISK_FILES && d->file[i].used)
		i++;
	assert(i < DISK_FILES);
	d->file[i] = (struct disk_file){
		.used = true,
		.mode = mode,
		.uid = uid,
	};
	disk_change(d, name, i, "");
	return i;
}

size_t disk_read(const struct disk *d, int file, void *buf, size_t bytes,
		 uint64_t at, bool direct)
{
	const struct disk_file *f = &d->file[file];
	uint8_t *to = buf;

	if (at >= f->size)
		return 0;
	if (bytes > f->size - at)
		bytes = f->size - at;
	for (size_t done = 0, n; done < bytes; done += n) {
		uint64_t p = (at + done) / DISK_PAGE;
		unsigned in = (at + done) % DISK_PAGE;
		const struct disk_page *page = f->page[p];
		const uint8_t *from = page != NULL ? page->now : no_bytes;

		n = DISK_SECTOR - in % DISK_SECTOR;
		n = n < bytes - done ? n : bytes - done;
		if (direct && page != NULL &&
		    (page->lost >> in / DISK_SECTOR & 1) != 0)
			from = page->safe;
		memcpy(to + done, from + in, n);
	}
	return bytes;
}

static struct disk_page *page_at(struct disk_file *f, uint64_t p)
{
	assert(p < DISK_PAGES);
	if (f->page[p] == NULL)
		f->page[p] = calloc(1, sizeof(*f->page[p]));
	assert(f->page[p] != NULL);
	return f->page[p];
}

size_t disk_write(struct disk *d, int file, const void *buf, size_t bytes,
		  uint64_t at)
{
	struct disk_file *f = &d->file[file];
	const uint8_t *from = buf;

	for (size_t done = 0, n; done < bytes; done += n) {
		uint64_t p = (at + done) / DISK_PAGE;
		unsigned in = (at + done) % DISK_PAGE;

		n = DISK_PAGE - in;
		n = n < bytes - done ? n : bytes - done;
		if (f->page[p] == NULL && memcmp(from + done, no_bytes, n) == 0)
			continue;
		memcpy(page_at(f, p)->now + in, from + done, n);
		f->page[p]->lost = 0; /* the whole page is dirty again */
	}
	if (at + bytes > f->size) {
		f->size = at + bytes;
		f->size_lost = false;
	}
	return bytes;
}

void disk_resize(struct disk *d, int file, uint64_t bytes)
{
	struct disk_file *f = &d->file[file];

	for (uint64_t p = bytes / DISK_PAGE; p < DISK_PAGES; p++) {
		unsigned in = p == bytes / DISK_PAGE ? bytes % DISK_PAGE : 0;

		if (f->page[p] != NULL)
			memset(f->page[p]->now + in, 0, DISK_PAGE - in);
	}
	f->size = bytes;
	f->size_lost = false;
}

uint64_t disk_used(const struct disk *d)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < DISK_FILES; i++)
		sum += d->file[i].used ? d->file[i].size : 0;
	return sum;
}

unsigned disk_files(const struct disk *d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < DISK_FILES; i++)
		n += d->file[i].used;
	return n;
}

static bool differs(const struct disk_page *p, unsigned sector)
{
	unsigned at = sector * DISK_SECTOR;

	return memcmp(p->now + at, p->safe + at, DISK_SECTOR) != 0;
}

static void keep_sector(struct disk_page *p, unsigned sector)
{
	unsigned at = sector * DISK_SECTOR;

	memcpy(p->safe + at, p->now + at, DISK_SECTOR);
}

void disk_flush(struct disk *d, int file)
{
	struct disk_file *f = &d->file[file];

	for (unsigned i = 0; i < DISK_PAGES; i++)
		for (unsigned s = 0; f->page[i] != NULL && s < 8; s++)
			if ((f->page[i]->lost >> s & 1) == 0)
				keep_sector(f->page[i], s);
	if (!f->size_lost)
		f->safe_size = f->size;
}

void disk_flush_fails(struct disk *d, int file)
{
	struct disk_file *f = &d->file[file];

	for (unsigned i = 0; i < DISK_PAGES; i++)
		for (unsigned s = 0; f->page[i] != NULL && s < 8; s++)
			if (differs(f->page[i], s))
				f->page[i]->lost |= (uint8_t)(1u << s);
}

void disk_flush_dir(struct disk *d)
{
	memcpy(d->safe, d->now, sizeof(d->safe));
	d->n_pending = 0;
}

void disk_poke(struct disk *d, const char *name, const void *buf, size_t bytes,
	       uint64_t at)
{
	int file = disk_find(d, name);

	assert(file >= 0);
	disk_write(d, file, buf, bytes, at);
	disk_flush(d, file);
}

void disk_cut(struct disk *d, const char *name, uint64_t bytes)
{
	int file = disk_find(d, name);

	assert(file >= 0);
	disk_resize(d, file, bytes);
	disk_flush(d, file);
}

/* A pending thing more: does it survive? Without KEEP only count. */
static bool choose(unsigned *np, disk_keep keep)
{
	unsigned i = (*np)++;

	return keep != NULL && keep(i);
}

static bool is_dirty(const struct disk_page *p, unsigned sector)
{
	return differs(p, sector) && (p->lost >> sector & 1) == 0;
}

static bool is_pending(const struct disk_page *p, unsigned first)
{
	for (unsigned s = first; s < first + disk_together; s++)
		if (is_dirty(p, s))
			return true;
	return false;
}

static void keep_pending(struct disk_page *p, unsigned first)
{
	for (unsigned s = first; s < first + disk_together; s++)
		if (is_dirty(p, s))
			keep_sector(p, s);
}

static void cut_file(struct disk_file *f, unsigned *np, disk_keep keep)
{
	if (f->size != f->safe_size && choose(np, keep))
		f->safe_size = f->size;
	for (unsigned i = 0; i < DISK_PAGES; i++) {
		struct disk_page *p = f->page[i];

		for (unsigned s = 0; p != NULL && s < 8; s += disk_together)
			if (is_pending(p, s) && choose(np, keep))
				keep_pending(p, s);
	}
}

/* What lies on the disk becomes what everybody sees. */
static void show_safe(struct disk *d, struct disk_file *f)
{
	for (unsigned i = 0; i < DISK_PAGES; i++) {
		if (f->page[i] == NULL)
			continue;
		memcpy(f->page[i]->now, f->page[i]->safe, DISK_PAGE);
		f->page[i]->lost = 0;
	}
	disk_resize(d, (int)(f - d->file), f->safe_size);
	for (unsigned i = 0; i < DISK_PAGES; i++)
		if (f->page[i] != NULL)
			memcpy(f->page[i]->safe, f->page[i]->now, DISK_PAGE);
}

static unsigned cut(struct disk *d, disk_keep keep)
{
	unsigned n = 0;

	if (d->dir && !d->dir_safe)
		d->dir_safe = choose(&n, keep);
	for (unsigned i = 0; i < DISK_FILES; i++)
		if (d->file[i].used)
			cut_file(&d->file[i], &n, keep);
	for (unsigned i = 0; i < d->n_pending; i++)
		if (choose(&n, keep))
			names_apply(d->safe, &d->pending[i]);
	return n;
}

unsigned disk_choices(const struct disk *d)
{
	static struct disk scratch;
	unsigned n;

	disk_copy(&scratch, d);
	n = cut(&scratch, NULL);
	disk_clear(&scratch);
	return n;
}

unsigned disk_power_cut(struct disk *d, disk_keep keep)
{
	unsigned n = cut(d, keep);

	d->dir = d->dir_safe;
	if (!d->dir)
		memset(d->safe, 0, sizeof(d->safe));
	memcpy(d->now, d->safe, sizeof(d->now));
	d->n_pending = 0;
	for (unsigned i = 0; i < DISK_FILES; i++)
		if (d->file[i].used)
			show_safe(d, &d->file[i]);
	disk_collect(d);
	return n;
}

static bool named(const struct disk_name *names, int file)
{
	for (unsigned i = 0; i < DISK_NAMES; i++)
		if (names[i].name[0] != '\0' && names[i].file == file)
			return true;
	return false;
}

static bool awaited(const struct disk *d, int file)
{
	for (unsigned i = 0; i < d->n_pending; i++)
		if (d->pending[i].add[0] != '\0' && d->pending[i].file == file)
			return true;
	return false;
}

void disk_collect(struct disk *d)
{
	for (int i = 0; i < DISK_FILES; i++)
		if (d->file[i].used && !named(d->now, i) &&
		    !named(d->safe, i) && !awaited(d, i))
			file_clear(&d->file[i]);
}
