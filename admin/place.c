/*
 * place: opening a directory and its files so that nobody else has a say.
 *
 * O_NOFOLLOW refuses a link, O_NONBLOCK keeps a pipe of that name from hanging
 * the opener, and all else is judged by fstat of what was opened, never by a
 * look at the path before.
 */
#include "admin/place.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int jt_place_fault(const struct jt_place *p, struct jt_fault *faultp, int rc,
		   const char *name, const char *what)
{
	return jt_fault_set(faultp, rc, 0, 0, "%s/%s: %s: %s", p->path, name,
			    what, strerrordesc_np(-rc));
}

static int judge_dir(struct jt_place *p, struct jt_fault *faultp)
{
	struct stat st;
	int rc = jt_io_stat(p->io, p->fd, &st);

	if (rc < 0)
		return jt_place_fault(p, faultp, rc, "", "cannot look at it");
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return jt_fault_set(faultp, JT_JOURNAL_E_UNSAFE, 0, 0,
				    "%s: others may write to this directory; "
				    "chmod 700 %s",
				    p->path, p->path);
	p->uid = st.st_uid;
	p->gid = st.st_gid;
	return 0;
}

int jt_place_of(struct jt_place *p, const struct jt_io *io, int dir_fd,
		struct jt_fault *faultp)
{
	*p = (struct jt_place){.io = io, .path = ".", .fd = dir_fd};
	return judge_dir(p, faultp);
}

int jt_place_open(struct jt_place *p, const struct jt_io *io, const char *path,
		  struct jt_fault *faultp)
{
	int rc;

	*p = (struct jt_place){.io = io, .path = path, .fd = -1};
	rc = jt_io_open(io, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (rc == -ENOENT)
		return jt_fault_set(faultp, JT_JOURNAL_E_NONE, 0, 0,
				    "%s: there is no such directory", path);
	if (rc < 0)
		return jt_place_fault(p, faultp, rc, "", "cannot open");
	p->fd = rc;
	rc = judge_dir(p, faultp);
	if (rc != 0) {
		io->close(p->fd);
		p->fd = -1;
	}
	return rc;
}

static int judge_file(const struct jt_place *p, const char *name,
		      const struct stat *st, struct jt_fault *faultp)
{
	if (!S_ISREG(st->st_mode))
		return jt_fault_set(faultp, JT_JOURNAL_E_UNSAFE, 0, 0,
				    "%s/%s is not a regular file; move it away",
				    p->path, name);
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return jt_fault_set(faultp, JT_JOURNAL_E_UNSAFE, 0, 0,
				    "%s/%s: others may write to this file; "
				    "chmod 600 %s/%s",
				    p->path, name, p->path, name);
	if (st->st_uid != p->uid)
		return jt_fault_set(faultp, JT_JOURNAL_E_UNSAFE, 0, 0,
				    "%s/%s belongs to uid %u, its directory to "
				    "uid %u; chown %u %s/%s",
				    p->path, name, (unsigned)st->st_uid,
				    (unsigned)p->uid, (unsigned)p->uid, p->path,
				    name);
	return 0;
}

/* A file that root just made goes to the owner of the directory. */
static int settle_owner(const struct jt_place *p, int fd, struct stat *st)
{
	int rc;

	if (st->st_uid == p->uid)
		return 0;
	rc = jt_io_chown(p->io, fd, p->uid, p->gid);
	if (rc == 0)
		st->st_uid = p->uid;
	return rc;
}

static int keep_if_safe(const struct jt_place *p, const char *name, int fd,
			bool fresh, struct jt_fault *faultp)
{
	struct stat st;
	int rc = jt_io_stat(p->io, fd, &st);

	if (rc == 0 && fresh)
		rc = settle_owner(p, fd, &st);
	if (rc < 0)
		jt_place_fault(p, faultp, rc, name, "cannot take it over");
	else
		rc = judge_file(p, name, &st, faultp);
	if (rc != 0)
		p->io->close(fd);
	return rc;
}

/* Open what is there, or else make it: the two are told apart by O_EXCL. */
static int open_or_make(const struct jt_place *p, const char *name, int flags,
			bool *freshp)
{
	int open_flags = (flags & ~O_CREAT) | O_NOFOLLOW | O_NONBLOCK;
	int fd = -ENOENT;

	*freshp = false;
	if ((flags & O_EXCL) == 0)
		fd = jt_io_open(p->io, p->fd, name, open_flags, 0);
	if (fd != -ENOENT || (flags & O_CREAT) == 0)
		return fd;
	fd = jt_io_open(p->io, p->fd, name, open_flags | O_CREAT | O_EXCL,
			0600);
	*freshp = fd >= 0;
	if (fd == -EEXIST && (flags & O_EXCL) == 0)
		fd = jt_io_open(p->io, p->fd, name, open_flags, 0);
	return fd;
}

int jt_place_file(const struct jt_place *p, const char *name, int flags,
		  int *fdp, struct jt_fault *faultp)
{
	bool fresh;
	int rc, fd = open_or_make(p, name, flags, &fresh);

	if (fd == -ENOENT)
		return jt_fault_set(faultp, JT_JOURNAL_E_NONE, 0, 0,
				    "%s: there is no %s here", p->path, name);
	if (fd == -ELOOP)
		return jt_fault_set(faultp, JT_JOURNAL_E_UNSAFE, 0, 0,
				    "%s/%s is a symbolic link; put the file "
				    "itself there",
				    p->path, name);
	if (fd < 0)
		return jt_place_fault(p, faultp, fd, name, "cannot open");
	rc = keep_if_safe(p, name, fd, fresh, faultp);
	if (rc == 0)
		*fdp = fd;
	return rc;
}

int jt_place_stage(const struct jt_place *p, const char *name, int *fdp,
		   struct jt_fault *faultp)
{
	int rc = jt_io_unlink(p->io, p->fd, name);

	if (rc < 0 && rc != -ENOENT)
		return jt_place_fault(p, faultp, rc, name, "cannot remove");
	return jt_place_file(p, name, O_RDWR | O_CREAT | O_EXCL, fdp, faultp);
}

int jt_place_publish(const struct jt_place *p, const char *staged,
		     const char *name, struct jt_fault *faultp)
{
	int rc = jt_io_rename(p->io, p->fd, staged, name);

	if (rc < 0)
		return jt_place_fault(p, faultp, rc, name, "cannot rename to");
	rc = jt_io_sync_all(p->io, p->fd);
	if (rc < 0)
		return jt_place_fault(p, faultp, rc, name,
				      "cannot flush its directory");
	return 0;
}

int jt_place_has(const struct jt_place *p, const char *name)
{
	struct stat st;
	int rc = jt_io_stat_at(p->io, p->fd, name, &st);

	if (rc == -ENOENT)
		return 0;
	return rc < 0 ? rc : 1;
}
