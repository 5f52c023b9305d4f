/* compare_print.h - connspread stat --compare. */
#ifndef CONNSPREAD_TOOL_STAT_COMPARE_PRINT_H
#define CONNSPREAD_TOOL_STAT_COMPARE_PRINT_H

#include "tool/stat/model.h"

void stat_print_comparison(const struct stat_report *r, bool json);

#endif
