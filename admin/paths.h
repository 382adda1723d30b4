/*
 * paths: where the data and the sockets are, for daemon and admin tool alike.
 *
 *   data   --data > JETON_DATA > root: /var/lib/jeton
 *                                else: $XDG_STATE_HOME/jeton
 *                                      (~/.local/state/jeton)
 *   run    --run  > JETON_RUN  > root: /run/jeton
 *                                else: $XDG_RUNTIME_DIR/jeton, or DATA/run
 *
 * Paths come out absolute, so that they mean the same in serving.lock as in
 * the shell that gave them. Control characters are refused: paths are printed
 * and stand on lines of their own.
 */
#ifndef JT_ADMIN_PATHS_H
#define JT_ADMIN_PATHS_H

#include "admin/journal.h"
#include <limits.h>
#include <stdbool.h>
#include <sys/un.h>

#define JT_RESP_NAME "jeton.sock"

enum {
	JT_PATHS_E_BAD = 1, /* faultp says which and why */
};

struct jt_paths {
	char data[PATH_MAX];
	char run[PATH_MAX];
	bool data_given; /* by flag or environment, not the default */
	bool run_given;
};

/* The flags may be NULL. 0, negative errno or JT_PATHS_E_BAD. */
int jt_paths_resolve(struct jt_paths *p, const char *data_flag,
		     const char *run_flag, struct jt_fault *faultp);

/* Make DIR and its parents, 0700; one that is there stays as it is. */
int jt_paths_make(const char *dir);

/* DIR/NAME as a socket address; -ENAMETOOLONG beyond 107 bytes. */
int jt_paths_socket(const char *dir, const char *name,
		    struct sockaddr_un *addressp);

#endif
