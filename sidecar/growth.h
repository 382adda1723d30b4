/*
 * growth: a larger table beside the one that serves, and over to it.
 *
 * Begins by itself when fifteen sixteenths are full, or when somebody asks for
 * more than there is room for; the table is doubled then, or as large as was
 * asked for, up to the lines that the meters were made for. The keeper does it
 * in slices of JT_GROWTH_SLICE_NS, and serves as always in between. What is
 * true of tokens never depends on how far it is: growth.c. Keeper only.
 */
#ifndef JT_SIDECAR_GROWTH_H
#define JT_SIDECAR_GROWTH_H

#include "sidecar/ledger.h"

#define JT_GROWTH_SLICE_NS 300000ull
#define JT_GROWTH_RETRY_NS 10000000000ull /* after one that failed */
#define JT_GROWTH_CROSS_NS 5000000000ull  /* for workers to go over */
#define JT_GROWTH_KEEP_NS 10000000000ull  /* and to unmap the old one */

enum jt_growth_phase {
	JT_GROWTH_NONE = 0,
	JT_GROWTH_IDENTITY, /* memory for the new segment */
	JT_GROWTH_LINES,    /* for the meters of more tokens */
	JT_GROWTH_POOL,	    /* names are copied; both tables are fed */
	JT_GROWTH_SLOTS,    /* values are copied */
	JT_GROWTH_CROSS,    /* the new one is the table; workers go over */
	JT_GROWTH_LEAVE,    /* the old one is unmapped */
};

enum jt_growth_event {
	JT_GROWTH_GOES_ON = 0,
	JT_GROWTH_SWAPPED, /* growth->fd and ->look are the new identity's */
	JT_GROWTH_DONE,	   /* the old one is retired */
	JT_GROWTH_FAILED,  /* growth->why */
};

struct jt_growth {
	struct jt_maps *maps; /* the table, whichever it is */
	struct jt_ledger *ledger;
	int meters; /* its descriptor */
	uint64_t capacity_max;
	uint64_t (*clock_ns)(void);    /* the boot clock */
	uint64_t (*memory_left)(void); /* bytes that may be taken */
	enum jt_growth_phase phase;
	struct jt_maps other;	     /* the new one, then the old one */
	struct jt_segment_size size; /* of the new one */
	size_t large_bytes;	     /* of the meters before it began */
	int old_fd;		     /* of the one before, -1: none is kept */
	uint64_t old_until_ns;
	int fd, look; /* its identity, also opened for reading; -1: handed on */
	uint64_t at;  /* how far this phase is */
	uint64_t due_ns, until_ns;
	uint64_t retry_ns; /* not again before */
	uint64_t n_done;   /* growths so far */
	char why[160];	   /* the last one failed; "": it did not */
};

/* CAPACITY_MAX: no further than that, nor than there are lines. */
void jt_growth_init(struct jt_growth *g, struct jt_maps *maps,
		    struct jt_ledger *ledger, int meters, uint64_t capacity_max,
		    uint64_t (*clock_ns)(void), uint64_t (*memory_left)(void));

/*
 * Room for that is wanted, and there is none. True: there will be, ask again;
 * false: the table cannot grow so far, *FAULTP says why.
 */
bool jt_growth_want(struct jt_growth *g, const struct jt_room *want,
		    struct jt_fault *faultp);

/*
 * Once a turn, while serving: a slice, if it is time for one. CROSSED: every
 * worker looks into the table with the highest number.
 */
enum jt_growth_event jt_growth_tend(struct jt_growth *g, uint64_t now_ns,
				    bool crossed);

/*
 * The descriptor of the table that was left: kept for a while, so that it is
 * the keeper who is the last to have it. Giving its memory back takes long.
 */
void jt_growth_keep(struct jt_growth *g, int identity);

/* Is there something to do soon? */
static inline bool jt_growth_busy(const struct jt_growth *g)
{
	return g->phase != JT_GROWTH_NONE;
}

/* How far, in percent. */
unsigned jt_growth_percent(const struct jt_growth *g);

/* The daemon ends: of two tables the older one is retired at once. */
void jt_growth_stop(struct jt_growth *g);

#endif
