/*
 * help_io: a struct jt_io on the disk in memory, whose calls can be failed,
 * cut short, interrupted and traced.
 *
 * The directory is called "/data"; its parent can be opened and flushed. One
 * process in one thread; every Criterion test starts with a fresh copy.
 */
#ifndef JT_TESTS_HELP_IO_H
#define JT_TESTS_HELP_IO_H

#include "admin/io.h"
#include "tests/help_disk.h"

#define HELP_DIR "/data"

enum help_call {
	CALL_OPEN,
	CALL_CLOSE,
	CALL_READ,
	CALL_WRITE,
	CALL_DATASYNC,
	CALL_SYNC,
	CALL_TRUNCATE,
	CALL_STAT,
	CALL_STAT_AT,
	CALL_FLOCK,
	CALL_RENAME,
	CALL_LINK,
	CALL_UNLINK,
	CALL_MKDIR,
	CALL_CHOWN,
};

/* What goes wrong. All zero: nothing does. */
struct help_plan {
	uint64_t fail_at; /* the K-th call of KINDS fails, from 1 */
	bool forever;	  /* and so does every call after it */
	int error;
	unsigned kinds;	     /* 1 << help_call; 0: all */
	size_t transfer_max; /* bytes that one read or write moves; 0: all */
	bool interrupt;	     /* every call is interrupted once before */
	uint64_t capacity;   /* bytes of all files; 0: no limit */
};

struct help_trace {
	enum help_call call;
	char name[DISK_NAME_MAX];
	uint64_t at;
	uint64_t bytes;
};

#define HELP_TRACE_MAX 100000u

extern const struct jt_io help_io;
extern struct disk help_disk;
extern struct help_plan help_plan;
extern uint64_t help_calls; /* that matched plan.kinds, failed ones too */
extern struct help_trace help_trace[HELP_TRACE_MAX];
extern unsigned help_n_trace;
/* So many reads of slot pages still catch them half written. */
extern unsigned help_torn_reads;
/* A bad sector: reads of this byte of `journal` fail; 0: none. */
extern uint64_t help_bad_byte;
extern uint64_t help_wall_ns;
extern char help_boot_id[37]; /* empty: /proc is not there */

/* Start PLAN: counters and trace begin anew. */
void help_io_plan(struct help_plan plan);

/* The process ends: descriptors and locks go, the page cache stays. */
void help_io_kill(void);

/* The machine ends. */
void help_io_power_cut(disk_keep keep);

/* The disk's number of the file that FD has open; below 0: none of its. */
int help_io_file(int fd);

/* Descriptors still open. */
unsigned help_io_open_fds(void);

#endif
