/* notice: see notice.h. */
#include "admin/notice.h"
#include "admin/expiry.h"
#include "admin/output.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S 86400u
#define SAID_MIN 64u

static int by_days(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

bool jt_thresholds_parse(const char *text, struct jt_thresholds *t,
			 char why[JT_WHY_MAX])
{
	uint32_t days;

	memset(t, 0, sizeof(*t));
	do {
		size_t n = strspn(text, "0123456789");

		days = n && n <= 4 ? (uint32_t)strtoul(text, NULL, 10) : 0;
		if (days == 0 || days > JT_THRESHOLD_LAST ||
		    (text[n] && text[n] != ',') || t->n == JT_THRESHOLDS_MAX) {
			snprintf(why, JT_WHY_MAX,
				 "is not like %s: up to %u numbers of days, "
				 "each 1 to %u",
				 JT_THRESHOLDS_DEFAULT, JT_THRESHOLDS_MAX,
				 JT_THRESHOLD_LAST);
			return false;
		}
		t->days[t->n++] = days;
		text += n;
	} while (*text++ == ',');
	qsort(t->days, t->n, sizeof(t->days[0]), by_days);
	return true;
}

bool jt_notice_due(const struct jt_thresholds *t, const struct jt_card *card,
		   struct jt_said said, uint64_t now_s, uint32_t *daysp)
{
	uint64_t left_s = card->expires_s > now_s ? card->expires_s - now_s : 0;
	size_t i = 0;

	if (!jt_card_lives(card) || card->type == JT_REC_REVOKE)
		return false;
	*daysp = JT_NOTICE_OVER;
	if (!left_s && now_s - card->expires_s > JT_NOTICE_OVER_S)
		return false;
	while (left_s && i < t->n && left_s > (uint64_t)t->days[i] * DAY_S)
		i++;
	if (i == t->n)
		return false;
	if (left_s)
		*daysp = t->days[i];
	return said.expires_s != card->expires_s || *daysp < said.days;
}

/* ---- what was said ---- */

void jt_notices_deinit(struct jt_notices *n)
{
	free(n->said);
	memset(n, 0, sizeof(*n));
}

void jt_notices_forget(struct jt_notices *n)
{
	jt_notices_deinit(n);
}

static int grow(struct jt_notices *n, size_t card)
{
	size_t max = n->n_max ? n->n_max : SAID_MIN;
	struct jt_said *said;

	while (max <= card)
		max *= 2;
	said = reallocarray(n->said, max, sizeof(*said));
	if (!said)
		return -ENOMEM;
	memset(said + n->n_max, 0, (max - n->n_max) * sizeof(*said));
	n->said = said;
	n->n_max = max;
	return 0;
}

int jt_notices_learn(struct jt_notices *n, const struct jt_catalog *c,
		     const struct jt_record *r)
{
	const struct jt_card *card;
	size_t at;

	if (r->type != JT_REC_NOTICE)
		return 0;
	card = jt_catalog_find(c, r->notice.id);
	if (!card)
		return 0; /* purged between the look and the commit */
	at = (size_t)(card - c->cards);
	if (at >= n->n_max && grow(n, at) < 0)
		return -ENOMEM;
	n->said[at] = (struct jt_said){r->notice.expires_s, r->notice.days};
	return 0;
}

struct jt_said jt_notices_said(const struct jt_notices *n, size_t card)
{
	return card < n->n_max ? n->said[card] : (struct jt_said){0};
}

void jt_notice_record(const struct jt_card *card, uint32_t days,
		      struct jt_record *r)
{
	memset(r, 0, sizeof(*r));
	r->type = JT_REC_NOTICE;
	memcpy(r->env, card->env, sizeof(r->env));
	memcpy(r->notice.id, card->id, sizeof(r->notice.id));
	r->notice.expires_s = card->expires_s;
	r->notice.days = days;
}

/* ---- the event ---- */

json_t *jt_notice_event(const struct jt_card *card, uint32_t days,
			uint64_t now_s)
{
	char key[64], expires[JT_TIME_TEXT], status[16];
	json_t *o = json_object();

	if (!o)
		return NULL;
	snprintf(key, sizeof(key), "%.24s:%" PRIu32 ":%" PRIu32, card->id,
		 card->expires_s, days);
	jt_time_format(card->expires_s, expires);
	snprintf(status, sizeof(status), "%s", jt_card_status(card, now_s));
	status[0] = (char)tolower((unsigned char)status[0]);
	if (json_object_set_new(o, "event",
				json_string(days == JT_NOTICE_OVER
						    ? "expired"
						    : "expiring")) ||
	    json_object_set_new(o, "key", json_string(key)) ||
	    json_object_set_new(o, "id", jt_json_text(card->id, JT_ID_BYTES)) ||
	    json_object_set_new(o, "name",
				jt_json_text(card->name, JT_NAME_MAX)) ||
	    json_object_set_new(o, "owner",
				jt_json_text(card->owner, JT_OWNER_MAX)) ||
	    json_object_set_new(o, "env",
				jt_json_text(card->env, JT_ENV_MAX)) ||
	    json_object_set_new(o, "expires", json_string(expires)) ||
	    json_object_set_new(o, "days", json_integer(days)) ||
	    json_object_set_new(o, "status", json_string(status))) {
		json_decref(o);
		return NULL;
	}
	return o;
}
