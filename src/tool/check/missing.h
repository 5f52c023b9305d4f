/* missing.h - addresses of pools that this host does not have, and how it would get them. */
#ifndef CONNSPREAD_TOOL_CHECK_MISSING_H
#define CONNSPREAD_TOOL_CHECK_MISSING_H

#include <stdbool.h>
#include <stdint.h>

struct addr;
struct host;
struct policy;
struct policy_source;

enum { MISSING_KEPT = 256, MISSING_TEXT = 96 };

struct missing {
    unsigned count; /* the first MISSING_KEPT of them have a command */
    char command[MISSING_KEPT][MISSING_TEXT];
};

/* How many addresses of a range, from its first one on, are tried one by one: a /8 would take minutes. */
uint32_t missing_probes(const struct policy_source *source);

/* Could a client not bind the nth? *a: which that is. */
bool missing_at(const struct policy_source *source, const struct host *h, uint32_t n, struct addr *a);

/* How many of those that are tried a client could not bind. */
uint32_t missing_of(const struct policy_source *source, const struct host *h);

/* "ip addr add 10.0.0.12/32 dev eth0" for each: the interface that has an address of the same network, else one that
 * has one of the pool, else any but lo. Pools with freebind have none. */
void missing_look(const struct policy *p, const struct host *h, struct missing *out);

#endif
