/* jeton list, expiring, unused: tokens as rows; see roster.h. */
#include "admin/cmd.h"
#include "admin/expiry.h"
#include "admin/roster.h"

#include <string.h>

#define WITHIN_DEFAULT "30d"
#define DAYS_DEFAULT 90
#define DAYS_MOST 3660 /* ten years */
#define DAY_S 86400u

/* Write the rows and close; SOME: the exit code when there are any. */
static int finish(struct jt_roster *r, const struct jt_cmd *cmd,
		  enum jt_roster_form form, int some)
{
	int code = r->n_rows ? some : 0;

	jt_roster_put(r, jt_style_of(cmd->json), form);
	jt_roster_close(r);
	return code;
}

/* A person would wonder about an empty screen; a script would not. */
static void say_none(const struct jt_roster *r, const struct jt_cmd *cmd,
		     const char *what)
{
	if (r->n_rows == 0 && jt_style_of(cmd->json) == JT_STYLE_TABLE)
		jt_note("%s", what);
}

int jt_cmd_list(const struct jt_cmd *cmd)
{
	uint64_t now_s = jt_io_os.wall_ns() / 1000000000u;
	enum jt_roster_key key = JT_BY_CREATED;
	struct jt_choice choice;
	struct jt_roster r;
	int e = jt_choice_read(cmd, JT_CHOICE, now_s, &choice);

	if (e == 0 && cmd->args.sort)
		e = jt_roster_key(cmd->args.sort, &key);
	if (e)
		return e;
	e = jt_roster_open(&r, cmd,
			   cmd->json || cmd->args.long_ || key == JT_BY_USED ||
				   key == JT_BY_USES);
	if (e)
		return e;
	jt_roster_pick(&r, &choice, NULL, NULL);
	e = jt_roster_sort(&r, key);
	if (e) {
		jt_roster_close(&r);
		return e;
	}
	say_none(&r, cmd, choice.any ? "no token fits that" : "no token yet");
	return finish(&r, cmd, cmd->args.long_ ? JT_ROWS_LONG : JT_ROWS, 0);
}

int jt_cmd_expiring(const struct jt_cmd *cmd)
{
	const char *within =
		cmd->args.within ? cmd->args.within : WITHIN_DEFAULT;
	uint64_t now_s = jt_io_os.wall_ns() / 1000000000u, span_s;
	struct jt_choice choice;
	struct jt_roster r;
	int e = jt_choice_read(cmd, JT_CHOICE, now_s, &choice);

	if (e)
		return e;
	e = jt_span_parse(within, now_s, &span_s);
	if (e)
		return jt_fail(JT_EXIT_USAGE, "--within %s", jt_span_why(e));
	choice.expires_from_s = now_s + 1;
	choice.expires_until_s = now_s + span_s;
	e = jt_roster_open(&r, cmd, cmd->json || cmd->args.long_);
	if (e)
		return e;
	jt_roster_pick(&r, &choice, NULL, NULL);
	e = jt_roster_sort(&r, JT_BY_EXPIRES);
	if (e) {
		jt_roster_close(&r);
		return e;
	}
	say_none(&r, cmd, "no token expires so soon");
	return finish(&r, cmd, cmd->args.long_ ? JT_ROWS_LONG : JT_ROWS,
		      JT_EXIT_NO);
}

static int read_days(const char *text, uint64_t *daysp)
{
	*daysp = DAYS_DEFAULT;
	if (!text)
		return 0;
	*daysp = 0;
	for (const char *c = text; *daysp <= DAYS_MOST; c++) {
		if (*c == '\0' && c > text)
			return 0;
		if (*c < '0' || *c > '9')
			break;
		*daysp = *daysp * 10 + (uint64_t)(*c - '0');
	}
	return jt_fail(JT_EXIT_USAGE, "--days is a whole number up to %d",
		       DAYS_MOST);
}

/* CTX: used before then is unused. */
static bool is_idle(const struct jt_roster *r, const struct jt_card *card,
		    void *ctx)
{
	const uint64_t *before_s = ctx;
	struct jt_usage u;

	jt_roster_usage(r, card, &u);
	return (u.last_use_s ? u.last_use_s : card->created_s) <= *before_s;
}

int jt_cmd_unused(const struct jt_cmd *cmd)
{
	uint64_t now_s = jt_io_os.wall_ns() / 1000000000u, days, before_s;
	struct jt_choice choice;
	struct jt_roster r;
	int e = jt_choice_read(cmd, JT_CHOICE & ~JT_BIT(status), now_s,
			       &choice);

	if (e == 0)
		e = read_days(cmd->args.days, &days);
	if (e)
		return e;
	choice.status = "active";
	before_s = now_s - days * DAY_S;
	e = jt_roster_open(&r, cmd, true);
	if (e)
		return e;
	if (!r.counted)
		jt_note("no use is known, since no sidecar has saved any here; "
			"every token counts from its creation");
	jt_roster_pick(&r, &choice, is_idle, &before_s);
	say_none(&r, cmd, "every such token was used, or made, since then");
	return finish(&r, cmd, JT_ROWS_IDLE, JT_EXIT_NO);
}
