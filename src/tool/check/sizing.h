/* sizing.h - what a program needs that sizes a pool by itself, as members of check's JSON; and what a NAT gateway in
 * front of this host leaves of it. */
#ifndef CONNSPREAD_TOOL_CHECK_SIZING_H
#define CONNSPREAD_TOOL_CHECK_SIZING_H

#include "tool/check/model.h"

/* Seconds for which a gateway keeps a port after a connection has ended: Linux's nf_conntrack_tcp_timeout_time_wait. */
enum { SNAT_SECONDS = 120 };

/* Of the whole host: ,"time_wait_seconds":60,"ephemeral":{...},"pools":[...],"missing":N,"add_addresses":[...] */
void sizing_json(const struct findings *f);

/* Of a rule: ,"to":[...],"except":[...],"attempts":N,"wait_ms":N,"on_exhausted":"..." */
void sizing_json_rule(const struct findings *f, const struct policy_rule *rule);

/* Warns of each rule whose IPv4 capacity is more than a gateway with so many ports for a destination can carry. */
void warn_of_snat(const struct findings *f, unsigned ports, struct warnings *out);

#endif
