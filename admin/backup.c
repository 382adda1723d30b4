/*
 * backup: see backup.h.
 *
 * The commit is read first, then the records up to it, which nobody writes
 * again; a compaction may take the name from the file, not the file from us.
 * What is to be called a backup must be durable at its source, so that is
 * flushed before. Header and slots come last and after a flush: until then the
 * copy is no journal, whatever becomes of us. Both slots name the same commit.
 */
#include "admin/backup.h"
#include "admin/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_RECORDS 1024u

struct copy {
	const struct jt_io *io;
	const char *path;
	struct jt_journal from;
	int dir_fd, fd;
};

static int cannot(const struct copy *c, int rc, const char *what,
		  struct jt_fault *faultp)
{
	return jt_fault_set(faultp, rc, 0, 0, "%s: %s: %s", c->path, what,
			    strerrordesc_np(-rc));
}

static int copy_records(struct copy *c, struct jt_record *chunk,
			struct jt_fault *faultp)
{
	struct jt_reader r;
	size_t n;
	int rc;

	jt_reader_init(&r, &c->from);
	do {
		uint64_t at = jt_record_offset(c->from.origin, r.next);

		rc = jt_reader_next(&r, chunk, CHUNK_RECORDS, &n, faultp);
		if (rc != 0)
			return rc;
		rc = jt_io_write_at(c->io, c->fd, chunk, n * JT_RECORD_BYTES,
				    at);
	} while (rc == 0 && n > 0);
	if (rc == 0)
		rc = jt_io_sync_all(c->io, c->fd);
	return rc < 0 ? cannot(c, rc, "cannot write", faultp) : rc;
}

static int copy_front(struct copy *c, struct jt_fault *faultp)
{
	struct jt_header_page h;
	int rc = jt_io_read_at(c->io, c->from.fd, &h, sizeof(h), 0);

	if (rc == 0)
		rc = jt_front_write(c->io, c->fd, &h, &c->from.committed);
	if (rc == 0)
		rc = jt_io_sync_all(c->io, c->fd);
	if (rc == 0)
		rc = jt_io_sync_all(c->io, c->dir_fd);
	return rc < 0 ? cannot(c, rc, "cannot write", faultp) : rc;
}

static int read_back(struct copy *c, uint64_t *bytesp, struct jt_fault *faultp)
{
	struct jt_journal_summary sum = {0};
	struct jt_slots slots;
	struct jt_journal j = {
		.io = c->io,
		.dir_fd = c->dir_fd,
		.fd = c->fd,
		.lock_fd = -1,
	};
	int rc = jt_journal_load(&j, &slots, faultp);

	if (rc == 0)
		rc = jt_journal_verify(&j, &slots, &sum, faultp);
	*bytesp = j.file_bytes;
	return rc;
}

static int fill(struct copy *c, uint64_t *bytesp, struct jt_fault *faultp)
{
	struct jt_record *chunk = calloc(CHUNK_RECORDS, sizeof(*chunk));
	int rc = chunk == NULL ? cannot(c, -ENOMEM, "cannot copy", faultp) : 0;

	if (rc == 0)
		rc = copy_records(c, chunk, faultp);
	free(chunk);
	if (rc == 0)
		rc = copy_front(c, faultp);
	return rc != 0 ? rc : read_back(c, bytesp, faultp);
}

/* The directory of c->path; *NAMEP: what is left of it. */
static int open_dir(struct copy *c, const char **namep, struct jt_fault *faultp)
{
	const char *slash = strrchr(c->path, '/');
	char dir[PATH_MAX] = ".";
	size_t n = slash == NULL ? 0 : (size_t)(slash - c->path);

	*namep = slash == NULL ? c->path : slash + 1;
	if (n >= sizeof(dir))
		return cannot(c, -ENAMETOOLONG, "cannot open", faultp);
	if (slash != NULL)
		snprintf(dir, sizeof(dir), "%.*s", n > 0 ? (int)n : 1, c->path);
	c->dir_fd = jt_io_open(c->io, AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	if (c->dir_fd < 0)
		return cannot(c, c->dir_fd, "cannot open its directory",
			      faultp);
	return 0;
}

static int make(struct copy *c, uint64_t *bytesp, struct jt_fault *faultp)
{
	const char *name;
	int rc = open_dir(c, &name, faultp);

	if (rc != 0)
		return rc;
	c->fd = jt_io_open(c->io, c->dir_fd, name,
			   O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (c->fd == -EEXIST)
		rc = jt_fault_set(faultp, -EEXIST, 0, 0,
				  "%s exists; a backup takes a new file",
				  c->path);
	else if (c->fd < 0)
		rc = cannot(c, c->fd, "cannot make it", faultp);
	if (rc == 0) {
		rc = fill(c, bytesp, faultp);
		c->io->close(c->fd);
		if (rc != 0)
			(void)jt_io_unlink(c->io, c->dir_fd, name);
	}
	c->io->close(c->dir_fd);
	return rc;
}

int jt_journal_backup(const struct jt_io *io, const char *dir, const char *path,
		      struct jt_commit *endp, uint64_t *bytesp,
		      struct jt_fault *faultp)
{
	struct copy c = {.io = io, .path = path};
	int rc = jt_journal_open(&c.from, io, dir, faultp);

	if (rc != 0)
		return rc;
	*endp = c.from.committed;
	rc = jt_journal_sync(&c.from);
	if (rc != 0)
		rc = jt_fault_set(faultp, rc, 0, 0,
				  "journal: cannot flush it: %s",
				  strerrordesc_np(-rc));
	if (rc == 0)
		rc = make(&c, bytesp, faultp);
	jt_journal_close(&c.from);
	return rc;
}
