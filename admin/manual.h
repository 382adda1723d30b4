/* manual: jeton(1) in mdoc, from the table of verbs. */
#ifndef JT_ADMIN_MANUAL_H
#define JT_ADMIN_MANUAL_H

#include "admin/cmd.h"

void jt_manual(FILE *out);

#endif
