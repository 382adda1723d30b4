/* in_force: see in_force.h. */
#include "admin/in_force.h"

#include "admin/anchor.h"
#include "admin/deny.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define STEP 1024u
#define IDS_MAX (1u << 20) /* whatever a keeper tells */

static bool add(struct jt_in_force *f, const char *id)
{
	if (f->n == f->n_max) {
		size_t most = f->n_max + STEP;
		void *more = f->n_max < IDS_MAX ? reallocarray(f->ids, most,
							       sizeof(*f->ids))
						: NULL;

		if (!more)
			return false;
		f->ids = more;
		f->n_max = most;
	}
	memcpy(f->ids[f->n++], id, JT_ID_BYTES);
	return true;
}

static bool ask_keeper(struct jt_in_force *f, struct jt_control *c,
		       uint64_t *clockp)
{
	uint64_t from = 0;
	const char *ids;

	do {
		if (c->fd < 0 || jt_control_pending(c, &from, clockp, &ids))
			return false;
		for (const char *at = ids; *at; at += JT_ID_BYTES + 1)
			if (!add(f, at + 1))
				return true;
	} while (*ids);
	return true;
}

static void take(void *ctx, uint32_t place, enum jt_deny_kind kind,
		 const struct jt_denial *d)
{
	if (kind != JT_DENY_LOST)
		(void)add(ctx, d->id);
}

static void read_files(struct jt_in_force *f, const struct jt_journal *j,
		       uint64_t *clockp)
{
	struct jt_deny_file deny;
	struct jt_anchor anchor;
	int rc = jt_deny_open(&deny, j->io, j->dir_fd, j->id, O_RDONLY);

	if (rc == 0 || rc == JT_DENY_E_DAMAGED)
		(void)jt_deny_scan(&deny, take, f);
	jt_deny_close(&deny);
	if (jt_anchor_read(j->io, j->dir_fd, &anchor) == 0 &&
	    memcmp(anchor.journal_id, j->id, sizeof(j->id)) == 0)
		*clockp = anchor.clock_s;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, JT_ID_BYTES);
}

void jt_in_force_read(struct jt_in_force *f, const struct jt_journal *j,
		      struct jt_control *c)
{
	uint64_t clock_s = 0;

	memset(f, 0, sizeof(*f));
	f->now_s = j->io->wall_ns() / 1000000000u;
	if (!ask_keeper(f, c, &clock_s))
		read_files(f, j, &clock_s);
	if (f->now_s < clock_s)
		f->now_s = clock_s;
	if (f->n)
		qsort(f->ids, f->n, sizeof(*f->ids), compare);
}

void jt_in_force_free(struct jt_in_force *f)
{
	free(f->ids);
	f->ids = NULL;
	f->n = f->n_max = 0;
}

bool jt_in_force_denies(const struct jt_in_force *f, const char id[JT_ID_BYTES])
{
	return f->n && bsearch(id, f->ids, f->n, sizeof(*f->ids), compare);
}
