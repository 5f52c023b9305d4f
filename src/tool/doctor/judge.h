/* judge.h - What the facts mean. Pure. */
#ifndef CONNSPREAD_TOOL_DOCTOR_JUDGE_H
#define CONNSPREAD_TOOL_DOCTOR_JUDGE_H

#include "tool/doctor/findings.h"
#include "tool/doctor/facts.h"

struct host_facts;

/* All of it, in an order that does not depend on severity. */
void doctor_judge(const struct host_facts *f, struct findings *out);

#endif
