/*
 * place: the directory that a journal lives in, and the files in it.
 *
 * The directory and its files must belong to one user and be writable by
 * nobody else; no file is reached through a symbolic link, none is inherited by
 * a child. Every refusal is a line that names the path and the remedy.
 * For the files of admin/ alone.
 */
#ifndef JT_ADMIN_PLACE_H
#define JT_ADMIN_PLACE_H

#include "admin/journal.h"

struct jt_place {
	const struct jt_io *io;
	const char *path; /* as the caller named it; for messages */
	int fd;
	uid_t uid; /* owner of the directory and of new files */
	gid_t gid;
};

/*
 * Open a directory. JT_JOURNAL_E_NONE when it is absent, JT_JOURNAL_E_UNSAFE
 * when others may write to it. The caller closes p->fd.
 */
int jt_place_open(struct jt_place *p, const struct jt_io *io, const char *path,
		  struct jt_fault *faultp);

/* The same for a directory already open; p->fd stays the caller's. */
int jt_place_of(struct jt_place *p, const struct jt_io *io, int dir_fd,
		struct jt_fault *faultp);

/*
 * Open NAME in it with FLAGS; with O_CREAT a new file gets mode 0600 and the
 * owner of the directory. JT_JOURNAL_E_NONE when absent.
 */
int jt_place_file(const struct jt_place *p, const char *name, int flags,
		  int *fdp, struct jt_fault *faultp);

/* A fresh, empty file NAME; a stale one of an earlier crash is removed. */
int jt_place_stage(const struct jt_place *p, const char *name, int *fdp,
		   struct jt_fault *faultp);

/* Give a complete, synced file its name at once, and make that durable. */
int jt_place_publish(const struct jt_place *p, const char *staged,
		     const char *name, struct jt_fault *faultp);

/* Is there a NAME? 1, 0 or negative errno. */
int jt_place_has(const struct jt_place *p, const char *name);

/* "DIR/NAME: WHAT: reason" for a negative errno RC; returns RC. */
int jt_place_fault(const struct jt_place *p, struct jt_fault *faultp, int rc,
		   const char *name, const char *what);

#endif
