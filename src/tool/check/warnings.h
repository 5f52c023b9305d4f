/* warnings.h - What is valid and yet wrong on this host: nothing here stops a client, everything here costs it
 * quadruplets. */
#ifndef CONNSPREAD_TOOL_CHECK_WARNINGS_H
#define CONNSPREAD_TOOL_CHECK_WARNINGS_H

#include "tool/check/model.h"

/* What the policy says that this host cannot do, or that cannot be meant. */
void find_warnings(const struct policy *p, const struct host *h, struct warnings *out);

#endif
