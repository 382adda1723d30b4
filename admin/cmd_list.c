/*
 * jeton list: every token, in order of creation.
 *
 * Folded from the journal without the lock; what is being committed at this
 * moment is either wholly in it or not at all.
 */
#include "admin/catalog.h"
#include "admin/change.h"
#include "admin/cmd.h"
#include "admin/expiry.h"

#include <string.h>

#define NAME_HEAD "NAME"

static json_t *as_json(const struct jt_catalog *c, const struct jt_card *card,
		       const char *status)
{
	struct jt_limit limit = jt_limits_merge(&c->plans[card->own].limit,
						&c->plans[card->plan].limit);
	char expires[JT_TIME_TEXT], created[JT_TIME_TEXT], rate[JT_LIMIT_TEXT];
	json_t *o = json_object();

	jt_time_format(card->expires_s, expires);
	jt_time_format(card->created_s, created);
	jt_limits_rate(&limit, rate);
	json_object_set_new(o, "id", jt_json_text(card->id, JT_ID_BYTES));
	json_object_set_new(o, "name", jt_json_text(card->name, JT_NAME_MAX));
	json_object_set_new(o, "env", jt_json_text(card->env, JT_ENV_MAX));
	json_object_set_new(o, "owner",
			    jt_json_text(card->owner, JT_OWNER_MAX));
	json_object_set_new(o, "created", json_string(created));
	json_object_set_new(o, "expires", json_string(expires));
	json_object_set_new(o, "status", json_string(status));
	json_object_set_new(o, "rate",
			    limit.rate ? json_string(rate) : json_null());
	json_object_set_new(o, "burst",
			    limit.rate ? json_integer((json_int_t)limit.burst)
				       : json_null());
	return o;
}

static void put_row(const struct jt_card *card, const char *status,
		    enum jt_style style, size_t name_width)
{
	char value[JT_MASK_TEXT], day[JT_TIME_TEXT];
	size_t width = jt_text_width(card->name, JT_NAME_MAX);

	jt_mask(card->id, value);
	jt_expiry_day(card->expires_s, day);
	jt_put_text(stdout, style, card->name, JT_NAME_MAX);
	if (style == JT_STYLE_TSV) {
		printf("\t%s\t%s\t%s\n", value, day, status);
		return;
	}
	printf("%*s  %s  %s  %s\n", (int)(name_width - width), "", value, day,
	       status);
}

static size_t name_width(const struct jt_catalog *c)
{
	size_t widest = strlen(NAME_HEAD);

	for (size_t i = 0; i < c->n_cards; i++) {
		size_t width = jt_text_width(c->cards[i].name, JT_NAME_MAX);

		if (width > widest)
			widest = width;
	}
	return widest;
}

static void put_all(const struct jt_catalog *c, enum jt_style style)
{
	uint64_t now_s = jt_io_os.wall_ns() / 1000000000u;
	size_t width = style == JT_STYLE_TABLE ? name_width(c) : 0;

	if (style == JT_STYLE_TABLE)
		printf("%-*s  %-28s  %-10s  STATUS\n", (int)width, NAME_HEAD,
		       "VALUE", "EXPIRES");
	for (size_t i = 0; i < c->n_cards; i++) {
		const struct jt_card *card = &c->cards[i];
		const char *status = jt_card_status(card, now_s);

		if (style == JT_STYLE_JSON)
			jt_put_json(stdout, as_json(c, card, status));
		else
			put_row(card, status, style, width);
	}
}

int jt_cmd_list(const struct jt_cmd *cmd)
{
	struct jt_fault fault = {.line = "not enough memory"};
	struct jt_catalog catalog;
	struct jt_journal j;
	int e = jt_journal_open(&j, &jt_io_os, cmd->paths.data, &fault);

	if (e)
		return jt_journal_refusal(e, &fault);
	e = jt_catalog_init(&catalog);
	if (e == 0)
		e = jt_catalog_load(&catalog, &j, &fault);
	jt_journal_close(&j);
	if (e == 0)
		put_all(&catalog, jt_style_of(cmd->json));
	jt_catalog_deinit(&catalog);
	return e ? jt_journal_refusal(e, &fault) : 0;
}
