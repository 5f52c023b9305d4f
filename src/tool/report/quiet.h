/* quiet.h - what goes wrong though no call failed, so that no event tells. */
#ifndef CONNSPREAD_TOOL_REPORT_QUIET_H
#define CONNSPREAD_TOOL_REPORT_QUIET_H

#include "tool/report/model.h"

/* Behind the findings of incidents: the kernel makes no more TIME-WAITs; connect() searches long for a port. */
void report_find_quiet(struct report *r);

#endif
