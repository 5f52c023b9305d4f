/* json.h - connspread stat -o json: one compact object a line for each instance. */
#ifndef CONNSPREAD_TOOL_STAT_JSON_H
#define CONNSPREAD_TOOL_STAT_JSON_H

#include "tool/stat/model.h"

void stat_print_json(const struct stat_report *r);

#endif
