/* shares.h - which connections have the ports of a range that is full, in shares that add up. Pure. */
#ifndef CONNSPREAD_TOOL_REPORT_SHARES_H
#define CONNSPREAD_TOOL_REPORT_SHARES_H

#include "tool/report/evidence.h"

/* The largest first, of equal ones that which passes by itself last; their percents add up to 100. A kind has a share
 * only where numbers prove it: the kernel's count for what others have, the instance's own for its own. Returns how
 * many, at least 1. */
unsigned shares_find(const struct evidence *e, struct share out[SHARES_MAX]);

#endif
