/* who.h - which processes of this host have now what took the ports. */
#ifndef CONNSPREAD_TOOL_REPORT_WHO_H
#define CONNSPREAD_TOOL_REPORT_WHO_H

#include "tool/report/model.h"

/* Of incidents of this host that are a few minutes old at most: who binds ports, who is connected to the destination
 * and does not follow the instance. A socket that is closed has no owner any more. */
void report_name_holders(struct report *r);

#endif
