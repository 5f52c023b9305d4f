/* find.h - From facts to findings: collects the evidence of each incident and has it judged. */
#ifndef CONNSPREAD_TOOL_REPORT_FIND_H
#define CONNSPREAD_TOOL_REPORT_FIND_H

#include "tool/report/model.h"

/* Ports that a source of this place can use towards one destination. */
uint32_t report_ports(const struct report *r, const struct destination_key *place, enum ports_from *from);

/* From the facts to the findings. */
void report_find(struct report *r);

/* Is this of the very host and network namespace that we are in? */
bool report_is_here(const struct report *r, const struct destination_key *place);

#endif
