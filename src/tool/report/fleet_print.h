/* fleet_print.h - what the report says of many hosts (fleet.h): a part of its text, and a member of its JSON. */
#ifndef CONNSPREAD_TOOL_REPORT_FLEET_PRINT_H
#define CONNSPREAD_TOOL_REPORT_FLEET_PRINT_H

#include <jansson.h>

#include "tool/report/model.h"

/* Nothing for fewer than two hosts. */
void fleet_print_text(const struct report *r);

/* null for fewer than two hosts. */
json_t *fleet_json(const struct report *r);

#endif
