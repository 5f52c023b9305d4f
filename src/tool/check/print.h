/* print.h - How `connspread check` says what it found: as text, and as one JSON object. */
#ifndef CONNSPREAD_TOOL_CHECK_PRINT_H
#define CONNSPREAD_TOOL_CHECK_PRINT_H

#include "tool/check/model.h"

void check_print_text(const struct findings *f);

void check_print_json(const struct findings *f);

#endif
