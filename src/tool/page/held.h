/* held.h - what had the ports when an incident began. */
#ifndef CONNSPREAD_TOOL_PAGE_HELD_H
#define CONNSPREAD_TOOL_PAGE_HELD_H

#include "tool/page/model.h"

void held_print(const struct page *p);

#endif
