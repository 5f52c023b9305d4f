/* print.h - What connspread quads prints. */
#ifndef CONNSPREAD_TOOL_QUADS_PRINT_H
#define CONNSPREAD_TOOL_QUADS_PRINT_H

#include "tool/quads/model.h"
#include "tool/screen/screen.h"

void quads_print_text(const struct quads_report *r, const struct screen *to);

/* One compact object a line for each pair. */
void quads_print_json(const struct quads_report *r);

/* Metrics of the same pairs, and of all together. */
void quads_print_prometheus(const struct quads_report *r);

#endif
