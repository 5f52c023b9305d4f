/* gather.h - What doctor reads: sysctls, counters, connection tracking, sockets. */
#ifndef CONNSPREAD_TOOL_DOCTOR_GATHER_H
#define CONNSPREAD_TOOL_DOCTOR_GATHER_H

#include <stdint.h>

#include "tool/doctor/facts.h"

struct host_facts;

void doctor_read_sysctls(struct host_facts *f);

void doctor_read_conntrack(struct host_facts *f);

void doctor_look_at_sockets(struct host_facts *f);

#endif
