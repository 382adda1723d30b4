/*
 * jeton notify run: say once which tokens expire.
 *
 * Exactly once takes two halves. Two runs at a time would both say it: a lock
 * of its own, beside the journal's, which is not held while others listen. And
 * what was said is recorded after it was said, for a record without the event
 * would lose it: a crash in between says that one event again, with the same
 * key. With a command each event is recorded before the next is given, so it is
 * one; on stdout all of a run are.
 */
#include "admin/change.h"
#include "admin/cmd.h"
#include "admin/courier.h"
#include "admin/expiry.h"
#include "admin/fold.h"
#include "admin/notice.h"
#include "admin/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define LOCK_NAME "notify.lock"
#define TIMEOUT_DEFAULT "30s"
#define TIMEOUT_MAX_S 3600u

struct notify {
	const struct jt_cmd *cmd;
	struct jt_thresholds thresholds;
	int timeout_ms;
	struct jt_fold fold;
	struct jt_notices notices;
	struct jt_record *records; /* what was said and is to be recorded */
	size_t n, n_max;
	size_t at; /* the card whose turn it is */
	size_t n_failed;
	int lock_fd;
};

static int learn(void *ctx, const struct jt_catalog *c,
		 const struct jt_record *r)
{
	struct notify *y = ctx;

	return jt_notices_learn(&y->notices, c, r);
}

static void forget(void *ctx)
{
	struct notify *y = ctx;

	jt_notices_forget(&y->notices);
	y->at = 0;
}

static uint64_t now_s(void)
{
	return jt_io_os.wall_ns() / 1000000000u;
}

/* Is a card due? Its event, a line; *TEXTP is to be freed. */
static int event(const struct notify *y, size_t card, uint32_t *daysp,
		 char **textp)
{
	const struct jt_card *c = &y->fold.catalog.cards[card];
	uint64_t now = now_s();
	json_t *o;

	*textp = NULL;
	if (!jt_notice_due(&y->thresholds, c,
			   jt_notices_said(&y->notices, card), now, daysp))
		return 0;
	o = jt_notice_event(c, *daysp, now);
	*textp = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return *textp ? 0 : jt_fail(JT_EXIT_FILE, "not enough memory");
}

/* Keep the record of what was said until it is committed. */
static int keep(struct notify *y, size_t card, uint32_t days)
{
	size_t max = y->n_max ? 2 * y->n_max : 16;
	struct jt_record *records;

	if (y->n == y->n_max) {
		records = reallocarray(y->records, max, sizeof(*records));
		if (!records)
			return jt_fail(JT_EXIT_FILE, "not enough memory");
		y->records = records;
		y->n_max = max;
	}
	jt_notice_record(&y->fold.catalog.cards[card], days,
			 &y->records[y->n++]);
	return 0;
}

/* No verdict depends on it, so nobody waits until the keeper has read it. */
static int commit(struct notify *y)
{
	struct jt_change c;
	int e;

	if (y->n == 0)
		return 0;
	e = jt_change_begin(&c, &y->cmd->paths);
	if (e)
		return e;
	e = jt_change_commit(&c, y->records, y->n);
	jt_change_end(&c);
	y->n = 0;
	return e;
}

/* ---- to stdout ---- */

static int say_all(struct notify *y)
{
	uint32_t days;
	char *text;
	int e = 0;

	for (size_t i = 0; e == 0 && i < y->fold.catalog.n_cards; i++) {
		e = event(y, i, &days, &text);
		if (e || !text)
			continue;
		puts(text);
		jt_wiping_free(text);
		e = keep(y, i, days);
	}
	if (e || y->cmd->args.dry_run)
		return e;
	e = jt_stdout_close();
	if (e)
		return jt_fail(JT_EXIT_FILE,
			       "stdout did not take the events (%s); they come "
			       "again with the next run",
			       strerror(-e));
	return commit(y);
}

/* ---- to a command ---- */

static int deliver(struct notify *y, size_t card, uint32_t days, char *text)
{
	size_t bytes = strlen(text);
	char line[JT_COURIER_TEXT], why[JT_WHY_MAX];
	int e;

	if (bytes + 2 > sizeof(line))
		return jt_fail(JT_EXIT_FILE, "%.24s: its event is too long",
			       y->fold.catalog.cards[card].id);
	memcpy(line, text, bytes);
	line[bytes] = '\n';
	if (!jt_courier_give(y->cmd->args.exec, line, bytes + 1, y->timeout_ms,
			     why)) {
		y->n_failed++;
		jt_note("%.24s: the command %s; its event comes again with the "
			"next run",
			y->fold.catalog.cards[card].id, why);
		return 0;
	}
	e = keep(y, card, days);
	if (e == 0)
		e = commit(y);
	if (e || y->cmd->stdout_closed)
		return e;
	puts(text);
	fflush(stdout);
	return 0;
}

/*
 * A run may be long, so each token is looked at as it is when its turn comes.
 * After a compaction cards are others: it begins again, and says nothing twice.
 */
static int deliver_all(struct notify *y)
{
	uint32_t days;
	char *text;
	int e = 0;

	while (e == 0 && y->at < y->fold.catalog.n_cards) {
		size_t card = y->at++;

		e = event(y, card, &days, &text);
		if (e || !text)
			continue;
		jt_wiping_free(text);
		e = jt_fold_refresh(&y->fold, &y->cmd->paths);
		if (e || y->at == 0)
			continue;
		e = event(y, card, &days, &text);
		if (e == 0 && text)
			e = deliver(y, card, days, text);
		jt_wiping_free(text);
	}
	if (e == 0 && y->n_failed)
		return jt_fail(
			JT_EXIT_NO,
			"%zu times the command failed; those events come "
			"again with the next run",
			y->n_failed);
	return e;
}

/* ---- the run ---- */

/* *BUSYP: another run is at it. */
static int lock(struct notify *y, bool *busyp)
{
	struct jt_fault fault = {0};
	struct jt_place p;
	int e = jt_place_of(&p, &jt_io_os, y->fold.journal.dir_fd, &fault);

	*busyp = false;
	p.path = y->cmd->paths.data;
	if (e == 0)
		e = jt_place_file(&p, LOCK_NAME, O_RDWR | O_CREAT, &y->lock_fd,
				  &fault);
	if (e) {
		y->lock_fd = -1;
		return jt_journal_refusal(e, &fault);
	}
	e = jt_io_lock(&jt_io_os, y->lock_fd, LOCK_EX | LOCK_NB);
	*busyp = e == -EWOULDBLOCK;
	if (*busyp)
		return 0;
	return e ? jt_fail(JT_EXIT_FILE, "%s/%s: %s", p.path, LOCK_NAME,
			   strerror(-e))
		 : 0;
}

static int run(struct notify *y)
{
	bool busy;
	int e = jt_fold_open(&y->fold, &y->cmd->paths);

	if (e || y->cmd->args.dry_run)
		return e ? e : say_all(y);
	e = lock(y, &busy);
	if (e)
		return e;
	if (busy) {
		jt_note("another run is under way and says it all");
		return 0;
	}
	/* the run before may have ended only now */
	e = jt_fold_refresh(&y->fold, &y->cmd->paths);
	if (e)
		return e;
	return y->cmd->args.exec ? deliver_all(y) : say_all(y);
}

static int read_timeout(const struct jt_args *a, int *timeout_msp)
{
	const char *text = a->timeout ? a->timeout : TIMEOUT_DEFAULT;
	uint64_t span_s;
	int e = jt_span_parse(text, now_s(), &span_s);

	if (a->timeout && !a->exec)
		return jt_fail(JT_EXIT_USAGE,
			       "--timeout is that of --exec, which is not "
			       "there");
	if (e)
		return jt_fail(JT_EXIT_USAGE, "--timeout %s", jt_span_why(e));
	if (span_s < 1 || span_s > TIMEOUT_MAX_S)
		return jt_fail(JT_EXIT_USAGE, "--timeout is 1s to 1h");
	*timeout_msp = (int)span_s * 1000;
	return 0;
}

int jt_cmd_notify_run(const struct jt_cmd *cmd)
{
	const char *thresholds = cmd->args.thresholds;
	struct notify y = {
		.cmd = cmd,
		.fold = {.each = learn, .anew = forget, .ctx = &y},
		.lock_fd = -1,
	};
	char why[JT_WHY_MAX];
	int e;

	if (!jt_thresholds_parse(thresholds ? thresholds
					    : JT_THRESHOLDS_DEFAULT,
				 &y.thresholds, why))
		return jt_fail(JT_EXIT_USAGE, "--thresholds %s", why);
	e = read_timeout(&cmd->args, &y.timeout_ms);
	if (e)
		return e;
	if (cmd->stdout_closed && !cmd->args.exec)
		return jt_fail(JT_EXIT_FILE,
			       "stdout is closed, nothing was said; open it or "
			       "use --exec");
	e = run(&y);
	if (y.lock_fd >= 0)
		close(y.lock_fd);
	jt_fold_close(&y.fold);
	jt_notices_deinit(&y.notices);
	free(y.records);
	return e;
}
