/* json.h - The report for programs: one compact object. */
#ifndef CONNSPREAD_TOOL_REPORT_JSON_H
#define CONNSPREAD_TOOL_REPORT_JSON_H

#include "tool/report/model.h"

/* False: no memory. */
bool report_print_json(const struct report *r);

#endif
