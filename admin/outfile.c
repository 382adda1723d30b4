/* outfile: see outfile.h. */
#include "admin/outfile.h"
#include "admin/output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES 65536u

static int refuse(const char *path, int error)
{
	return jt_fail(JT_EXIT_FILE, "%s: %s; choose another --out FILE", path,
		       strerror(error));
}

static int open_dir(const char *path)
{
	char copy[PATH_MAX];

	if (strlen(path) >= sizeof(copy)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(copy, path);
	return open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int open_temp(struct jt_outfile *f)
{
	int fd, e;

	if (snprintf(f->temp, sizeof(f->temp), "%s.jeton-XXXXXX", f->path) >=
	    (int)sizeof(f->temp)) {
		f->temp[0] = '\0';
		return refuse(f->path, ENAMETOOLONG);
	}
	fd = mkostemp(f->temp, O_CLOEXEC);
	if (fd < 0) {
		e = errno;
		f->temp[0] = '\0';
		return refuse(f->path, e);
	}
	f->file = fdopen(fd, "w");
	f->buffer = malloc(BUFFER_BYTES);
	if (f->file && f->buffer) {
		setvbuf(f->file, f->buffer, _IOFBF, BUFFER_BYTES);
		return 0;
	}
	if (!f->file)
		close(fd);
	jt_outfile_discard(f);
	return refuse(f->path, ENOMEM);
}

int jt_outfile_open(struct jt_outfile *f, const char *path)
{
	struct stat st;
	int e;

	memset(f, 0, sizeof(*f));
	f->path = path;
	f->dir_fd = -1;
	f->lost = "nothing was created; make room or choose another --out FILE";
	if (strcmp(path, "-") == 0)
		return jt_fail(JT_EXIT_USAGE,
			       "--out takes a new file; without it a single "
			       "token goes to stdout");
	if (lstat(path, &st) == 0)
		return refuse(path, EEXIST);
	f->dir_fd = open_dir(path);
	if (f->dir_fd < 0)
		return refuse(path, errno);
	e = open_temp(f);
	if (e)
		jt_outfile_discard(f);
	return e;
}

/* Close the stream, whatever it says, and wipe what it held. */
static int close_file(struct jt_outfile *f)
{
	int e = 0;

	if (f->file && fclose(f->file) != 0)
		e = -errno;
	f->file = NULL;
	if (f->buffer)
		sodium_memzero(f->buffer, BUFFER_BYTES);
	free(f->buffer);
	f->buffer = NULL;
	return e;
}

int jt_outfile_sync(struct jt_outfile *f)
{
	int e = 0;

	errno = EIO;
	if (ferror(f->file) || fflush(f->file) != 0 ||
	    fsync(fileno(f->file)) < 0)
		e = -errno;
	if (close_file(f) < 0 && e == 0)
		e = -EIO;
	if (e == 0)
		return 0;
	jt_outfile_discard(f);
	return jt_fail(JT_EXIT_FILE, "%s: %s, %s", f->path, strerror(-e),
		       f->lost);
}

/* Rename that never replaces; link and unlink where that is not known. */
static int rename_new(const char *from, const char *to)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (link(from, to) < 0)
		return -errno;
	return unlink(from) < 0 ? -errno : 0;
}

int jt_outfile_publish(struct jt_outfile *f)
{
	int e = rename_new(f->temp, f->path);

	if (e == 0 && fsync(f->dir_fd) < 0)
		e = -errno;
	close(f->dir_fd);
	f->dir_fd = -1;
	if (e)
		jt_fail(JT_EXIT_FILE,
			"%s: %s; all of it stands in %s, move it by hand",
			f->path, strerror(-e), f->temp);
	f->temp[0] = '\0';
	return e ? JT_EXIT_FILE : 0;
}

void jt_outfile_discard(struct jt_outfile *f)
{
	close_file(f);
	if (f->temp[0])
		unlink(f->temp);
	f->temp[0] = '\0';
	if (f->dir_fd >= 0)
		close(f->dir_fd);
	f->dir_fd = -1;
}
