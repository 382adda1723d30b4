/* standing: see standing.h. */
#include "shm/standing.h"

#include <string.h>

bool jt_standing_may_ask(const struct jt_ask *ask, uint64_t env)
{
	for (uint32_t i = 0; i < ask->n_envs; i++)
		/* a word of 0 is that of one beyond the numbers: of none */
		if (env && ask->envs[i] == env)
			return true;
	return false;
}

void jt_standing_id(const struct jt_maps *maps, const struct jt_view *view,
		    uint8_t id[JT_PUBLIC_BYTES])
{
	/* relaxed: written before any slot named the number */
	uint64_t word = jt_load_relaxed(&maps->identity->envs[view->env]);
	char env[9] = "", prefix[9] = "";

	memcpy(env, &word, sizeof(word));
	memcpy(prefix, maps->identity->prefix, 8);
	/* checked: it is the keeper's memory, but our process */
	jt_token_other_id(jt_prefix_ok(prefix) ? prefix : "jt",
			  jt_env_ok(env, strlen(env)) ? env : "other",
			  (const uint8_t *)view->digest, (char *)id);
}
