/* incidents.h - each incident: what happened, the numbers behind it, and what happened around its first failure. */
#ifndef CONNSPREAD_TOOL_PAGE_INCIDENTS_H
#define CONNSPREAD_TOOL_PAGE_INCIDENTS_H

#include "tool/page/model.h"

void incidents_print(const struct page *p);

#endif
