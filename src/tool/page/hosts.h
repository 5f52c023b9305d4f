/* hosts.h - of several hosts, which have an incident, and when it began on each. */
#ifndef CONNSPREAD_TOOL_PAGE_HOSTS_H
#define CONNSPREAD_TOOL_PAGE_HOSTS_H

#include "tool/page/model.h"

/* Nothing for a single host. */
void hosts_print(const struct page *p);

#endif
