/* repeat.h - how to make this page again: command, files, versions. */
#ifndef CONNSPREAD_TOOL_PAGE_REPEAT_H
#define CONNSPREAD_TOOL_PAGE_REPEAT_H

#include "tool/page/model.h"

void repeat_print(const struct page *p);

#endif
