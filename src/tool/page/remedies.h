/* remedies.h - what to do, for each incident, the least intrusive first. */
#ifndef CONNSPREAD_TOOL_PAGE_REMEDIES_H
#define CONNSPREAD_TOOL_PAGE_REMEDIES_H

#include "tool/page/model.h"

void remedies_print(const struct page *p);

#endif
