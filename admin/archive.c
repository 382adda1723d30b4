/*
 * archive: see archive.h.
 *
 *	journal.000001	|1 ............ N| N+1 .. |
 *	journal.000002		   |state| N+1 ........... M| M+1 |
 *	journal				       |state	    | M+1 ......
 *
 * What a file holds behind the next one's base stands in that one as well, bit
 * for bit. Reading leaves each file at the next one's base, with the tag that
 * the next header names, so the chain runs through all of them.
 *
 * Only a few descriptors are open, however many files there are: the way down
 * notes generation and end of each, the way up opens them again.
 */
#include "admin/archive.h"
#include "admin/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_RECORDS 128u
#define LINKS_MIN 8u

void jt_archive_name(uint64_t generation, char out[JT_ARCHIVE_NAME_MAX])
{
	snprintf(out, JT_ARCHIVE_NAME_MAX, "%s.%06" PRIu64, JT_JOURNAL_NAME,
		 generation);
}

/* Trouble in an archive: its name goes in front. */
static int name_it(uint64_t generation, int rc, struct jt_fault *faultp)
{
	char name[JT_ARCHIVE_NAME_MAX], line[sizeof(faultp->line)];

	if (rc == 0 || rc == JT_JOURNAL_E_ARCHIVED || faultp == NULL)
		return rc;
	jt_archive_name(generation, name);
	memcpy(line, faultp->line, sizeof(line));
	return jt_fault_set(faultp, rc, faultp->number, faultp->offset,
			    "%s: %s", name, line);
}

static int missing(uint64_t generation, uint64_t number,
		   struct jt_fault *faultp)
{
	char name[JT_ARCHIVE_NAME_MAX];

	jt_archive_name(generation, name);
	if (generation == 0)
		snprintf(name, sizeof(name), "an archive");
	return jt_fault_set(faultp, JT_JOURNAL_E_ARCHIVED, number, 0,
			    "records up to %" PRIu64 " are in %s, which is not "
			    "here",
			    number, name);
}

static int cut(struct jt_journal *older, const uint8_t id[16],
	       const struct jt_archive_link *link, struct jt_fault *faultp)
{
	uint8_t tag[JT_TAG_BYTES];
	int rc = 0;

	if (older->generation == link->generation &&
	    memcmp(older->id, id, sizeof(older->id)) == 0 &&
	    older->base <= link->end.number &&
	    older->committed.number >= link->end.number) {
		rc = jt_journal_tag(older, link->end.number, tag, faultp);
		if (rc == 0 && memcmp(tag, link->end.tag, sizeof(tag)) == 0) {
			older->committed = link->end;
			return 0;
		}
	}
	if (rc != 0)
		return rc;
	return jt_fault_set(faultp, JT_JOURNAL_E_DAMAGED, link->end.number, 0,
			    "it is not the history that the next file goes on "
			    "from at record %" PRIu64
			    "; put back the file that was archived",
			    link->end.number);
}

static struct jt_archive_link below(const struct jt_journal *j)
{
	struct jt_archive_link link = {
		.generation = j->archive,
		.end.number = j->base,
	};

	memcpy(link.end.tag, j->base_tag, sizeof(link.end.tag));
	return link;
}

int jt_archive_cut(struct jt_journal *older, const struct jt_journal *j,
		   struct jt_fault *faultp)
{
	struct jt_archive_link link = below(j);

	return name_it(link.generation, cut(older, j->id, &link, faultp),
		       faultp);
}

/* The file that LINK names, in the directory of J. */
static int open_link(const struct jt_journal *j,
		     const struct jt_archive_link *link,
		     struct jt_journal *olderp, struct jt_fault *faultp)
{
	char name[JT_ARCHIVE_NAME_MAX];
	struct jt_slots slots;
	struct jt_place p;
	int rc = jt_place_of(&p, j->io, j->dir_fd, faultp);

	if (rc != 0)
		return rc;
	jt_archive_name(link->generation, name);
	rc = link->generation == 0
		     ? JT_JOURNAL_E_NONE
		     : jt_journal_attach(olderp, &p, name, O_RDONLY, &slots,
					 faultp);
	if (rc == JT_JOURNAL_E_NONE)
		return missing(link->generation, link->end.number, faultp);
	if (rc != 0)
		return name_it(link->generation, rc, faultp);
	rc = cut(olderp, j->id, link, faultp);
	if (rc != 0)
		jt_archive_close(olderp);
	return name_it(link->generation, rc, faultp);
}

int jt_archive_open(const struct jt_journal *j, struct jt_journal *olderp,
		    struct jt_fault *faultp)
{
	struct jt_archive_link link = below(j);

	return open_link(j, &link, olderp, faultp);
}

void jt_archive_close(struct jt_journal *older)
{
	older->io->close(older->fd);
	older->fd = -1;
}

/* *J, J's own file or an archive of it, becomes the one before it. */
static int step_down(const struct jt_journal *newest, struct jt_journal *j,
		     struct jt_fault *faultp)
{
	struct jt_journal older;
	int rc = jt_archive_open(j, &older, faultp);

	if (rc != 0)
		return rc;
	if (j->fd != newest->fd)
		jt_archive_close(j);
	*j = older;
	return 0;
}

/* The way down is over. */
static void leave(const struct jt_journal *newest, struct jt_journal *j)
{
	if (j->fd != newest->fd)
		jt_archive_close(j);
}

int jt_archive_tag(const struct jt_journal *j, uint64_t number,
		   uint8_t out[JT_TAG_BYTES], struct jt_fault *faultp)
{
	struct jt_journal at = *j;
	int rc = 0;

	while (rc == 0 && at.base > number)
		rc = step_down(j, &at, faultp);
	if (rc == 0)
		rc = name_it(at.generation,
			     jt_journal_tag(&at, number, out, faultp), faultp);
	leave(j, &at);
	return rc;
}

static int verify(const struct jt_journal *j, struct jt_fault *faultp)
{
	struct jt_record records[CHUNK_RECORDS];
	struct jt_reader r;
	size_t n;
	int rc;

	jt_reader_init(&r, j);
	do
		rc = jt_reader_next(&r, records, CHUNK_RECORDS, &n, faultp);
	while (rc == 0 && n > 0);
	return name_it(j->generation, rc, faultp);
}

int jt_archive_verify(const struct jt_journal *j, uint64_t *archivesp,
		      uint64_t *firstp, struct jt_fault *faultp)
{
	struct jt_journal at = *j;
	int rc = 0;

	*archivesp = 0;
	while (rc == 0 && at.base > 0) {
		rc = step_down(j, &at, faultp);
		if (rc != 0)
			break;
		++*archivesp;
		rc = verify(&at, faultp);
	}
	*firstp = at.base + 1;
	leave(j, &at);
	return rc == JT_JOURNAL_E_ARCHIVED ? 0 : rc;
}

static int note_link(struct jt_archive *a, const struct jt_archive_link *link,
		     struct jt_fault *faultp)
{
	size_t n = a->n_links;
	struct jt_archive_link *links = a->links;

	if (n == 0 || (n >= LINKS_MIN && (n & (n - 1)) == 0)) {
		links = reallocarray(links, n == 0 ? LINKS_MIN : n * 2,
				     sizeof(*links));
		if (links == NULL)
			return jt_fault_set(faultp, -ENOMEM, 0, 0,
					    "not enough memory");
	}
	links[a->n_links++] = *link;
	a->links = links;
	return 0;
}

/* Down to the file that holds record FROM, or as far as files are here. */
static int descend(struct jt_archive *a, uint64_t from, struct jt_fault *faultp)
{
	struct jt_journal at = a->newest;
	int rc = 0;

	while (rc == 0 && at.base >= from) {
		struct jt_archive_link link = below(&at);

		rc = step_down(&a->newest, &at, faultp);
		if (rc == 0)
			rc = note_link(a, &link, faultp);
	}
	a->first = from;
	if (rc == JT_JOURNAL_E_ARCHIVED) {
		a->first = at.base + 1;
		snprintf(a->missing, sizeof(a->missing), "%s", faultp->line);
		rc = 0;
	}
	if (rc != 0) {
		leave(&a->newest, &at);
		a->n_links = 0;
	}
	a->older = at;
	return rc;
}

static struct jt_journal *file(struct jt_archive *a)
{
	return a->n_links > 0 ? &a->older : &a->newest;
}

int jt_archive_begin(struct jt_archive *a, const struct jt_io *io,
		     const char *dir, uint64_t from, struct jt_fault *faultp)
{
	struct jt_fault fault = {0};
	int rc;

	memset(a, 0, sizeof(*a));
	faultp = faultp == NULL ? &fault : faultp; /* `missing` is its line */
	assert(from > 0);
	rc = jt_journal_open(&a->newest, io, dir, faultp);
	if (rc != 0) {
		a->newest = (struct jt_journal){.io = NULL};
		return rc;
	}
	if (from > a->newest.committed.number + 1)
		rc = jt_fault_set(faultp, JT_JOURNAL_E_OLD, from, 0,
				  "journal ends at record %" PRIu64,
				  a->newest.committed.number);
	else
		rc = descend(a, from, faultp);
	if (rc == 0) {
		jt_reader_init_base(&a->reader, file(a));
		a->reader.next = a->first;
		rc = jt_journal_tag(file(a), a->first - 1, a->reader.tag,
				    faultp);
	}
	if (rc != 0)
		jt_archive_end(a);
	return rc;
}

/* This archive is read to where the next file goes on. */
static int ascend(struct jt_archive *a, struct jt_fault *faultp)
{
	int rc = 0;

	jt_archive_close(&a->older);
	if (--a->n_links > 0)
		rc = open_link(&a->newest, &a->links[a->n_links - 1], &a->older,
			       faultp);
	if (rc == 0)
		jt_reader_init_base(&a->reader, file(a));
	else
		a->n_links = 0;
	return rc;
}

int jt_archive_next(struct jt_archive *a, struct jt_record *records, size_t max,
		    size_t *np, struct jt_fault *faultp)
{
	int rc;

	*np = 0;
	for (;;) {
		rc = jt_reader_next(&a->reader, records, max, np, faultp);
		if (rc != 0 && a->n_links > 0)
			return name_it(a->older.generation, rc, faultp);
		if (rc != 0 || *np > 0 || a->n_links == 0)
			return rc;
		rc = ascend(a, faultp);
		if (rc != 0)
			return rc;
	}
}

void jt_archive_end(struct jt_archive *a)
{
	if (a->n_links > 0)
		jt_archive_close(&a->older);
	jt_journal_close(&a->newest);
	free(a->links);
	memset(a, 0, sizeof(*a));
}
