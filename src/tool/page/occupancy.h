/* occupancy.h - the heat map: how full each source was towards each destination, and when calls failed. */
#ifndef CONNSPREAD_TOOL_PAGE_OCCUPANCY_H
#define CONNSPREAD_TOOL_PAGE_OCCUPANCY_H

#include "tool/page/model.h"

void occupancy_print(const struct page *p);

#endif
