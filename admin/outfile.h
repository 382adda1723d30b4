/*
 * outfile: a new file, of secrets mostly, that is complete or not there.
 *
 * Written as FILE.jeton-XXXXXX in the same directory (0600), synced before the
 * commit that makes its contents valid, renamed after it. A crash in between
 * leaves the temporary file, so that no value is lost: its tokens are valid if
 * `jeton list` shows them. An existing FILE is never overwritten.
 *
 * Each call returns an exit code and has then printed the reason.
 */
#ifndef JT_ADMIN_OUTFILE_H
#define JT_ADMIN_OUTFILE_H

#include <limits.h>
#include <stdio.h>

struct jt_outfile {
	const char *path;
	char temp[PATH_MAX];
	FILE *file;
	char *buffer; /* stdio's, wiped at the end */
	int dir_fd;
	/* what holds when it cannot be written; open() sets "nothing was
	 * created; make room or choose another --out FILE" */
	const char *lost;
};

int jt_outfile_open(struct jt_outfile *f, const char *path);

/* Everything written to f->file is on the disk; the file is closed. */
int jt_outfile_sync(struct jt_outfile *f);

/* Give it its name. On failure the temporary file stays and is named. */
int jt_outfile_publish(struct jt_outfile *f);

/* Close and remove what is not published. Harmless after publish(). */
void jt_outfile_discard(struct jt_outfile *f);

#endif
