/* blame.h - What the facts mean: processes that keep ephemeral ports, programs that cannot be preloaded. Pure. */
#ifndef CONNSPREAD_TOOL_DOCTOR_BLAME_H
#define CONNSPREAD_TOOL_DOCTOR_BLAME_H

#include "tool/doctor/findings.h"
#include "tool/doctor/facts.h"

struct host_facts;

void doctor_judge_holders(const struct host_facts *f, struct findings *out);
void doctor_judge_program(const struct host_facts *f, struct findings *out);

#endif
