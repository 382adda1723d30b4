/* jetond: see config.h for the flags, keeper.h for what it does. */
#include "sidecar/keeper.h"
#include "sidecar/way.h"

#include <signal.h>
#include <stdio.h>

/* 0, or the exit status. */
static int print(const struct jt_config *config)
{
	char why[JT_CONFIG_LINE] = "the settings cannot be written; see where "
				   "the output goes";

	if (!jt_config_print(config, stdout, why) && !fflush(stdout))
		return 0;
	jt_log(JT_LOG_ERROR, "%s", why);
	return JT_EXIT_CONFIG;
}

int main(int argc, char **argv)
{
	/* large, and the keeper reads it as long as it lives */
	static struct jt_config config;
	sigset_t hup;

	/* asked to read settings again before there is anybody to do it: then,
	 * the keeper finds it waiting */
	sigemptyset(&hup);
	sigaddset(&hup, SIGHUP);
	sigprocmask(SIG_BLOCK, &hup, NULL);
	switch (jt_config_read(&config, argc, argv)) {
	case 0:
		break;
	case JT_CONFIG_E_DONE:
		return 0;
	case JT_CONFIG_E_USAGE:
		return JT_EXIT_USAGE;
	default:
		return JT_EXIT_CONFIG;
	}
	if (config.mode == JT_CONFIG_CHECK)
		return 0;
	if (config.mode == JT_CONFIG_PRINT)
		return print(&config);
	jt_way_begin();
	return jt_keeper_run(&config);
}
