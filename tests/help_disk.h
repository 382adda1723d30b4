/*
 * help_disk: one directory on a disk in memory, with a page cache that can be
 * lost.
 *
 * Every file has two contents: `now`, what reads and other processes see, and
 * `safe`, what the disk holds. A flush copies the first to the second, sector
 * by sector (512 bytes); a flush that fails marks its sectors lost: clean in
 * the cache, absent on the disk, as Linux does it. Names work alike: a link,
 * rename or removal is pending until the directory is flushed.
 *
 * A power cut keeps `safe` and, of everything pending, whatever the test
 * chooses: each differing sector, each change of size, each change of a name.
 *
 * Pages of zeros are not stored, so a copy of the whole disk is cheap.
 */
#ifndef JT_TESTS_HELP_DISK_H
#define JT_TESTS_HELP_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define DISK_PAGE 4096u
#define DISK_SECTOR 512u
#define DISK_FILES 12
#define DISK_PAGES 2048u /* of one file: 8 MiB */
#define DISK_NAMES 12
#define DISK_NAME_MAX 40
#define DISK_PENDING 64

struct disk_page {
	uint8_t now[DISK_PAGE];
	uint8_t safe[DISK_PAGE];
	uint8_t lost; /* bit s: sector s is clean in the cache only */
};

struct disk_file {
	bool used;
	bool size_lost;
	mode_t mode;
	uid_t uid;
	uint64_t size;
	uint64_t safe_size;
	struct disk_page *page[DISK_PAGES];
};

struct disk_name {
	char name[DISK_NAME_MAX]; /* empty: unused */
	int file;
};

/* REMOVE goes and ADD names FILE, at once; either may be empty. */
struct disk_change {
	char add[DISK_NAME_MAX];
	char remove[DISK_NAME_MAX];
	int file;
};

struct disk {
	bool dir;
	bool dir_safe;
	mode_t dir_mode;
	uid_t dir_uid;
	struct disk_file file[DISK_FILES];
	struct disk_name now[DISK_NAMES];
	struct disk_name safe[DISK_NAMES];
	struct disk_change pending[DISK_PENDING];
	unsigned n_pending;
};

/* An empty disk; free what D held. */
void disk_clear(struct disk *d);
/* TO becomes FROM; what TO held is freed. */
void disk_copy(struct disk *to, const struct disk *from);

/* File number, or -1. */
int disk_find(const struct disk *d, const char *name);
int disk_make(struct disk *d, const char *name, mode_t mode, uid_t uid);
void disk_change(struct disk *d, const char *add, int file, const char *remove);

/* The cache's view; DIRECT: the disk's, as O_DIRECT reads it. */
size_t disk_read(const struct disk *d, int file, void *buf, size_t bytes,
		 uint64_t at, bool direct);
size_t disk_write(struct disk *d, int file, const void *buf, size_t bytes,
		  uint64_t at);
void disk_resize(struct disk *d, int file, uint64_t bytes);
uint64_t disk_used(const struct disk *d);
unsigned disk_files(const struct disk *d);

void disk_flush(struct disk *d, int file);
void disk_flush_fails(struct disk *d, int file);
void disk_flush_dir(struct disk *d);

/* A change made to cache and disk alike, behind the program's back. */
void disk_poke(struct disk *d, const char *name, const void *buf, size_t bytes,
	       uint64_t at);
void disk_cut(struct disk *d, const char *name, uint64_t bytes);

/* Sectors that the disk writes together: 1, or 8 where they have 4096 bytes. */
extern unsigned disk_together;

/* Power off. KEEP(I) decides on the I-th pending thing; NULL keeps none. */
typedef bool (*disk_keep)(unsigned i);
unsigned disk_power_cut(struct disk *d, disk_keep keep);
/* How many pending things there are. */
unsigned disk_choices(const struct disk *d);
/* Free files that no name leads to; only while none is open. */
void disk_collect(struct disk *d);

#endif
