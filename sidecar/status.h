/*
 * status: what `jeton status` is told: one line of JSON. Keeper only.
 */
#ifndef JT_SIDECAR_STATUS_H
#define JT_SIDECAR_STATUS_H

#include "admin/paths.h"
#include "sidecar/clerk.h"
#include "sidecar/crew.h"
#include "sidecar/denials.h"
#include "sidecar/feed.h"
#include "sidecar/growth.h"
#include "sidecar/sandbox.h"
#include "sidecar/settings.h"

/* What it is made from. */
struct jt_status {
	const struct jt_maps *maps;
	const struct jt_feed *feed;
	const struct jt_crew *crew;
	const struct jt_growth *growth;
	const struct jt_clerk *clerk;
	const struct jt_denials *denials;
	const struct jt_paths *paths;
	const struct jt_settings *settings;
	const char *why; /* some promise cannot be kept; NULL: all can */
	const char *usage_why, *settings_why; /* likewise; "": all is well */
	const struct jt_sandbox *box;
	uint64_t keeper_fds; /* open ones */
	bool serving;
	uint64_t uptime_s;
};

/* Into BUF, with terminator; "" if MAX is too small. */
void jt_status_write(const struct jt_status *status, char *buf, size_t max);

#endif
