/* jetond: see config.h for the flags, keeper.h for what it does. */
#include "sidecar/keeper.h"

int main(int argc, char **argv)
{
	struct jt_config config;

	switch (jt_config_read(&config, argc, argv)) {
	case 0:
		return jt_keeper_run(&config);
	case JT_CONFIG_E_DONE:
		return 0;
	case JT_CONFIG_E_USAGE:
		return JT_EXIT_USAGE;
	default:
		return JT_EXIT_CONFIG;
	}
}
