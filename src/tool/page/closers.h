/* closers.h - which programs closed first, towards which destination. */
#ifndef CONNSPREAD_TOOL_PAGE_CLOSERS_H
#define CONNSPREAD_TOOL_PAGE_CLOSERS_H

#include "tool/page/model.h"

void closers_print(const struct page *p);

#endif
