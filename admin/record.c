/* record: see record.h. */
#include "admin/record.h"

const char *jt_record_verb(uint8_t type)
{
	static const char *const verbs[JT_REC_LAST + 1] = {
		[JT_REC_CREATE] = "create",   [JT_REC_REVOKE] = "revoke",
		[JT_REC_PLAN] = "plan",	      [JT_REC_RENEW] = "renew",
		[JT_REC_RENAME] = "rename",   [JT_REC_SET] = "set",
		[JT_REC_SUSPEND] = "suspend", [JT_REC_RESUME] = "resume",
		[JT_REC_ROTATE] = "rotate",   [JT_REC_FINISH] = "finish",
		[JT_REC_PURGE] = "purge",     [JT_REC_SCOPE] = "scope",
		[JT_REC_SCOPES] = "scopes",   [JT_REC_RULES] = "rules",
		[JT_REC_REASON] = "reason",   [JT_REC_COPY] = "copy",
		[JT_REC_NOTICE] = "notice",
	};
	const char *verb = type <= JT_REC_LAST ? verbs[type] : NULL;

	return verb ? verb : "?";
}
