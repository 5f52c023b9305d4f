/* text.h - connspread stat for people. */
#ifndef CONNSPREAD_TOOL_STAT_TEXT_H
#define CONNSPREAD_TOOL_STAT_TEXT_H

#include "tool/stat/model.h"

void stat_print_text(const struct stat_report *r);

#endif
