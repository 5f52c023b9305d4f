/* try.h - What the kernel can do, found out by doing it. */
#ifndef CONNSPREAD_TOOL_DOCTOR_TRY_H
#define CONNSPREAD_TOOL_DOCTOR_TRY_H

#include "tool/doctor/facts.h"

struct host_facts;

void doctor_try_features(struct host_facts *f);

#endif
