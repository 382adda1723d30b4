/* advice: see advice.h. */
#include "admin/advice.h"

#include <stddef.h>
#include <string.h>

static const struct {
	const char *word, *advice;
} table[] = {
	{"VALID", "nothing, the token may be used"},
	{"LOADING", "the sidecar is still reading its journal; try again in a "
		    "second"},
	{"MISSING", "no value was sent; put it into the request as "
		    "`Authorization: Bearer VALUE`"},
	{"WHITESPACE", "the value is right but has blanks around it; remove "
		       "spaces and line ends where it is stored or sent"},
	{"MALFORMED", "this is no whole token: copy all 64 characters, nothing "
		      "before or after them"},
	{"MISTYPED", "one or more characters are wrong; copy the value again "
		     "instead of typing it"},
	{"UNKNOWN", "no such token here: it may belong to another installation "
		    "or environment; compare the first 24 characters with "
		    "`jeton list`"},
	{"WRONG_ENVIRONMENT", "the token was made for another environment; use "
			      "the one for this environment"},
	{"REVOKED", "the token was revoked for good; make a new one with "
		    "`jeton create` and replace it where it is used"},
	{"SUSPENDED", "the token is suspended; ask who administers it"},
	{"EXPIRED", "the token's time is over; make a new one with `jeton "
		    "create` and replace it where it is used"},
	{"INSUFFICIENT_SCOPE",
	 "the token does not have the permission named in "
	 "the notes; use one that has it"},
	{"QUOTA_EXCEEDED", "the quota is used up; wait for `retry after`, or "
			   "ask for a larger one"},
	{"RATE_LIMITED", "too many requests: wait for `retry after`, then back "
			 "off exponentially and cache answers"},
};

const char *jt_advice(const char *word, const char *notes)
{
	if (strstr(notes, "NEVER"))
		return "the cost is above the token's whole limit: waiting "
		       "will not help, ask for less at once";
	if (strcmp(word, "VALID") == 0 && strstr(notes, "EXPIRING"))
		return "it may be used, but expires within 7 days: replace it "
		       "soon";
	if (strstr(notes, "OLD_VALUE"))
		return "this value was replaced by a rotation: use the new one";
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(table[i].word, word) == 0)
			return table[i].advice;
	return "this jeton does not know that verdict; use the version of the "
	       "sidecar";
}

/* @ stands for the id. */
static const struct {
	const char *word, *advice;
} admin[] = {
	{"LOADING", "try again in a second"},
	{"UNKNOWN", "compare it with `jeton list`, and check --data; a token "
		    "that was purged is unknown, too"},
	{"WRONG_ENVIRONMENT", "use a token of that environment; one cannot be "
			      "moved to another, `jeton create --env` makes "
			      "one"},
	{"REVOKED", "`jeton history @` tells who revoked it and why; it is "
		    "final, `jeton create` makes another"},
	{"SUSPENDED", "`jeton history @` tells who suspended it and why, "
		      "`jeton resume @` ends it"},
	{"EXPIRED", "`jeton renew @ --expires 90d` makes it work again, with "
		    "the same value"},
	{"INSUFFICIENT_SCOPE", "`jeton show @` tells the scopes that it has, "
			       "`jeton set @ --scope S ...` gives it others"},
	{"QUOTA_EXCEEDED", "wait for the next window, or `jeton set @ --quota "
			   "N/SPAN` allows more"},
	{"RATE_LIMITED", "its user should slow down, or `jeton set @ --rate "
			 "N/s --burst B` allows more"},
};

static const char *admin_text(const char *word, const char *notes)
{
	if (strstr(notes, "NEVER"))
		return "the cost is above the whole limit: `jeton set @ "
		       "--rate N/s --burst B --quota N/SPAN` allows more, else "
		       "less must be asked for at once";
	if (strcmp(word, "VALID") == 0 && strstr(notes, "EXPIRING"))
		return "it expires within 7 days: `jeton renew @ --expires "
		       "90d`, or replace it";
	for (size_t i = 0; i < sizeof(admin) / sizeof(admin[0]); i++)
		if (strcmp(admin[i].word, word) == 0)
			return admin[i].advice;
	return "";
}

void jt_advice_admin(const char *word, const char *notes, const char *id,
		     char out[JT_ADVICE_TEXT])
{
	size_t n = 0, more;

	for (const char *c = admin_text(word, notes); *c; c++) {
		more = *c == '@' ? strlen(id) : 1;
		if (n + more >= JT_ADVICE_TEXT)
			break;
		memcpy(out + n, *c == '@' ? id : c, more);
		n += more;
	}
	out[n] = '\0';
}
