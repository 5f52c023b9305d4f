/* connect_time.h - how long connect() took, by how full its source was. */
#ifndef CONNSPREAD_TOOL_PAGE_CONNECT_TIME_H
#define CONNSPREAD_TOOL_PAGE_CONNECT_TIME_H

#include "tool/page/model.h"

void connect_time_print(const struct page *p);

#endif
