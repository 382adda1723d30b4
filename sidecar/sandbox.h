/*
 * sandbox: what a process of the daemon can still do once it has all that it
 * needs: for who parses what strangers send, almost nothing.
 *
 * Layers, each by itself, so that one that a kernel or a container does not
 * have leaves the others as they are:
 *
 *   no-new-privs   no program run by it can be more than it is
 *   no-rights      no capability is left, and it is not root
 *   no-dump        nobody of its own user can trace it or read its memory
 *   no-core        its memory is not written down when it dies
 *   landlock       no file but those named, no TCP, no signal or abstract
 *                  socket beyond the daemon; also through a ring
 *   seccomp        no system call but those listed; any other one kills it
 *                  (the keeper: is refused). Who serves writes to standard
 *                  error and the wakes alone, whatever it has open, and no
 *                  memory of a file; scribe and clerk, whose work is files,
 *                  to all that they open in the data directory, by whatever
 *                  descriptor
 *
 * What a ring may do the loop says (loop.h): its operations pass by seccomp. A
 * restriction knows operations, not descriptors; but to write is none of those
 * that a worker's ring is allowed, as wakes are written by a plain call.
 *
 * Each process enters by itself, once, for good; children inherit what the
 * keeper has entered and add their own.
 */
#ifndef JT_SIDECAR_SANDBOX_H
#define JT_SIDECAR_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum jt_sandbox_kind {
	JT_SANDBOX_KEEPER =
		0,	   /* reads; writes in data and run; starts itself */
	JT_SANDBOX_WORKER, /* no file, no program, no socket of its own */
	JT_SANDBOX_HTTP,   /* the same for libmicrohttpd, and no wakes */
	JT_SANDBOX_SCRIBE, /* the data directory */
	JT_SANDBOX_CLERK,  /* likewise, and a second thread */
	JT_SANDBOX_KINDS,
};

#define JT_LAYER_NO_NEW_PRIVS 0x01u
#define JT_LAYER_NO_RIGHTS 0x02u
#define JT_LAYER_NO_DUMP 0x04u
#define JT_LAYER_NO_CORE 0x08u
#define JT_LAYER_LANDLOCK 0x10u
#define JT_LAYER_SECCOMP 0x20u
#define JT_LAYERS_ALL 0x3fu
#define JT_LAYERS_TEXT 80u

/* What the keeper has decided for itself and all that it forks. */
struct jt_sandbox {
	bool insecure; /* --insecure-debug: nothing hides from debuggers */
	bool drop;     /* workers become this user */
	uid_t uid;
	gid_t gid;
	const char *data, *run; /* directories */
	const char *config;	/* that was read; "": none */
	/* eventfds by which workers wake each other: as in those that enter */
	const int *wakes;
	unsigned n_wakes;
	pid_t keeper;
	unsigned layers; /* the keeper's: what it lacks is told once */
};

/*
 * Before anything is opened, as soon as there is memory worth hiding: no core,
 * no dump; children inherit both.
 */
void jt_sandbox_hide(const struct jt_sandbox *box);

/*
 * Enter. The layers that are active now, also those that were before; what is
 * missing is logged in one line, which a child leaves to a keeper that lacks
 * the same. BOX NULL: rights are given up, no more (unit tests' children).
 */
unsigned jt_sandbox_enter(const struct jt_sandbox *box,
			  enum jt_sandbox_kind kind);

/* Names, with blanks between; "none". */
void jt_sandbox_words(unsigned layers, char text[JT_LAYERS_TEXT]);

/* ---- its parts, each in a file of its own ---- */

/* 0, or negative errno: seccomp is not to be had. */
int jt_sandbox_calls(const struct jt_sandbox *box, enum jt_sandbox_kind kind);

/* Likewise Landlock. */
int jt_sandbox_files(const struct jt_sandbox *box, enum jt_sandbox_kind kind);
/* Has the kernel any? So the keeper before us was inside, too. */
int jt_sandbox_files_there(void);

#endif
