/* text.h - The report for a terminal: no colour, no wider than 100 columns. */
#ifndef CONNSPREAD_TOOL_REPORT_TEXT_H
#define CONNSPREAD_TOOL_REPORT_TEXT_H

#include "tool/report/model.h"

void report_print_text(const struct report *r);

#endif
