/*
 * roster_json: see roster_json.h.
 *
 * jansson encodes a string byte by byte, keys too, and of a row's eighteen
 * fields most are those of the row before: of a million tokens many have one
 * owner, one plan, one day of expiry. So a row is six objects of a few fields
 * each, which change together. Each is encoded without its braces (JSON_EMBED,
 * which jansson has for putting objects together), and again only when what it
 * is made of, its source, is not what it was in the row before.
 *
 *   {id name | env owner | created .. status | plan .. scopes | .. | uses ..}
 *
 * A part in which a field is missing, since memory ran out, is no part: its
 * row is left out.
 */
#include "admin/roster_json.h"
#include "admin/expiry.h"
#include "admin/limits.h"
#include "admin/output.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_MIN 512u

static void set_time(json_t *o, const char *key, uint64_t time_s)
{
	char text[JT_TIME_TEXT];

	jt_time_format(time_s, text);
	json_object_set_new(o, key, time_s ? json_string(text) : json_null());
}

static void set_number(json_t *o, const char *key, bool known, uint64_t n)
{
	json_object_set_new(o, key,
			    known ? json_integer((json_int_t)n) : json_null());
}

static void set_text(json_t *o, const char *key, const char *text, size_t max)
{
	json_object_set_new(o, key,
			    *text ? jt_json_text(text, max) : json_null());
}

static void set_limits(json_t *o, const struct jt_catalog *c,
		       const struct jt_card *card)
{
	struct jt_limit limit = jt_limits_merge(&c->plans[card->own].limit,
						&c->plans[card->plan].limit);
	char rate[JT_LIMIT_TEXT], quota[JT_LIMIT_TEXT];

	jt_limits_rate(&limit, rate);
	jt_limits_quota(&limit, quota);
	set_text(o, "plan", c->plans[card->plan].name, JT_PLAN_MAX);
	set_text(o, "rate", rate, sizeof(rate));
	set_number(o, "burst", limit.rate, limit.burst);
	set_text(o, "quota", quota, sizeof(quota));
}

/* NULL: not enough memory. */
static json_t *scopes(const struct jt_catalog *c, uint16_t set)
{
	json_t *list = json_array();

	for (uint32_t i = 1; set && i <= c->n_scopes; i++) {
		if (!(c->sets[set].bits[(i - 1) / 8] >> (i - 1) % 8 & 1))
			continue;
		if (json_array_append_new(list, jt_json_text(c->scopes[i].name,
							     JT_SCOPE_MAX)) ==
		    0)
			continue;
		json_decref(list);
		return NULL;
	}
	return list;
}

/* ---- parts: what they are made of, and their fields ---- */

static void fill_name(const struct jt_roster *r, const struct jt_card *card,
		      json_t *o)
{
	json_object_set_new(o, "id", jt_json_text(card->id, JT_ID_BYTES));
	json_object_set_new(o, "name", jt_json_text(card->name, JT_NAME_MAX));
}

static void source_owner(const struct jt_roster *r, const struct jt_card *card,
			 uint64_t source[JT_JSON_SOURCE])
{
	static_assert(JT_ENV_MAX <= 8 && JT_OWNER_MAX <= 48, "room for both");

	memcpy(source, card->env, JT_ENV_MAX);
	memcpy(source + 1, card->owner, JT_OWNER_MAX);
}

static void fill_owner(const struct jt_roster *r, const struct jt_card *card,
		       json_t *o)
{
	json_object_set_new(o, "env", jt_json_text(card->env, JT_ENV_MAX));
	json_object_set_new(o, "owner",
			    jt_json_text(card->owner, JT_OWNER_MAX));
}

static void source_life(const struct jt_roster *r, const struct jt_card *card,
			uint64_t source[JT_JSON_SOURCE])
{
	source[0] = card->created_s;
	source[1] = card->expires_s;
	/* a status is a constant text */
	source[2] = (uintptr_t)jt_card_status(card, r->now_s);
}

static void fill_life(const struct jt_roster *r, const struct jt_card *card,
		      json_t *o)
{
	set_time(o, "created", card->created_s);
	set_time(o, "expires", card->expires_s);
	json_object_set_new(o, "status",
			    json_string(jt_card_status(card, r->now_s)));
}

static void source_grants(const struct jt_roster *r, const struct jt_card *card,
			  uint64_t source[JT_JSON_SOURCE])
{
	source[0] = card->own;
	source[1] = card->plan;
	source[2] = card->scope_set;
}

static void fill_grants(const struct jt_roster *r, const struct jt_card *card,
			json_t *o)
{
	set_limits(o, &r->catalog, card);
	json_object_set_new(o, "scopes", scopes(&r->catalog, card->scope_set));
}

static void source_marks(const struct jt_roster *r, const struct jt_card *card,
			 uint64_t source[JT_JSON_SOURCE])
{
	source[0] = card->flags & JT_TOKEN_SUSPENDED;
	source[1] = card->old_until_s;
	source[2] = jt_card_recoverable(card);
}

static void fill_marks(const struct jt_roster *r, const struct jt_card *card,
		       json_t *o)
{
	json_object_set_new(o, "suspended",
			    json_boolean(card->flags & JT_TOKEN_SUSPENDED));
	set_time(o, "old_value_until", card->old_until_s);
	json_object_set_new(o, "recoverable",
			    json_boolean(jt_card_recoverable(card)));
}

static void source_use(const struct jt_roster *r, const struct jt_card *card,
		       uint64_t source[JT_JSON_SOURCE])
{
	struct jt_usage u;

	source[0] = jt_roster_usage(r, card, &u);
	source[1] = u.uses;
	source[2] = u.refusals;
	source[3] = u.last_use_s;
}

static void fill_use(const struct jt_roster *r, const struct jt_card *card,
		     json_t *o)
{
	struct jt_usage u;
	bool known = jt_roster_usage(r, card, &u);

	set_number(o, "uses", known, u.uses);
	set_number(o, "refusals", known, u.refusals);
	set_time(o, "last_used", u.last_use_s);
}

static const struct {
	/* words that differ when a field does; NULL: no two are alike */
	void (*source)(const struct jt_roster *r, const struct jt_card *card,
		       uint64_t source[JT_JSON_SOURCE]);
	void (*fill)(const struct jt_roster *r, const struct jt_card *card,
		     json_t *o);
	size_t n_fields;
} kinds[] = {
	{NULL, fill_name, 2},	       {source_owner, fill_owner, 2},
	{source_life, fill_life, 3},   {source_grants, fill_grants, 5},
	{source_marks, fill_marks, 3}, {source_use, fill_use, 3},
};
static_assert(sizeof(kinds) / sizeof(kinds[0]) == JT_JSON_PARTS, "parts");

/* ---- rows ---- */

static bool make_room(struct jt_json_part *p, size_t bytes)
{
	char *text;

	if (bytes <= p->room)
		return true;
	text = realloc(p->text, bytes + ROOM_MIN);
	if (!text)
		return false;
	p->text = text;
	p->room = bytes + ROOM_MIN;
	return true;
}

/* Encode O into the part's text, which grows as it must. */
static bool encode(struct jt_json_part *p, const json_t *o)
{
	const size_t flags = JSON_COMPACT | JSON_EMBED;

	p->bytes = json_dumpb(o, p->text, p->room, flags);
	if (p->bytes <= p->room)
		return p->bytes > 0;
	return make_room(p, p->bytes) &&
	       json_dumpb(o, p->text, p->room, flags) == p->bytes;
}

static bool make_part(struct jt_json_part *p, size_t kind,
		      const struct jt_roster *r, const struct jt_card *card)
{
	json_t *o = json_object();

	if (o)
		kinds[kind].fill(r, card, o);
	p->good = json_object_size(o) == kinds[kind].n_fields && encode(p, o);
	json_decref(o);
	return p->good;
}

static bool bring_part(struct jt_json_part *p, size_t kind,
		       const struct jt_roster *r, const struct jt_card *card)
{
	uint64_t source[JT_JSON_SOURCE] = {0};

	if (!kinds[kind].source)
		return make_part(p, kind, r, card);
	kinds[kind].source(r, card, source);
	if (p->good && memcmp(p->source, source, sizeof(source)) == 0)
		return true;
	memcpy(p->source, source, sizeof(source));
	return make_part(p, kind, r, card);
}

void jt_json_row_put(struct jt_json_row *row, const struct jt_roster *r,
		     const struct jt_card *card)
{
	for (size_t i = 0; i < JT_JSON_PARTS; i++) {
		if (bring_part(&row->parts[i], i, r, card))
			continue;
		jt_put_lacking();
		return;
	}
	for (size_t i = 0; i < JT_JSON_PARTS; i++) {
		putchar(i ? ',' : '{');
		fwrite(row->parts[i].text, 1, row->parts[i].bytes, stdout);
	}
	fputs("}\n", stdout);
}

void jt_json_row_free(struct jt_json_row *row)
{
	for (size_t i = 0; i < JT_JSON_PARTS; i++)
		free(row->parts[i].text);
	*row = (struct jt_json_row){0};
}
