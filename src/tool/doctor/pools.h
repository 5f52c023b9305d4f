/* pools.h - the addresses of the config's pools: which of them a client cannot use now. */
#ifndef CONNSPREAD_TOOL_DOCTOR_POOLS_H
#define CONNSPREAD_TOOL_DOCTOR_POOLS_H

#include "tool/common/arguments.h"
#include "tool/doctor/facts.h"
#include "tool/doctor/findings.h"

/* Nothing is found out where there is no config file. */
void doctor_look_at_pools(struct host_facts *f, const struct chosen *chosen);

/* Pure. */
void doctor_judge_pools(const struct host_facts *f, struct findings *out);

#endif
