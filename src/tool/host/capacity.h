/* capacity.h - what a rule can carry, as plain arithmetic: no files, no sockets. */
#ifndef CONNSPREAD_TOOL_HOST_CAPACITY_H
#define CONNSPREAD_TOOL_HOST_CAPACITY_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/policy.h"

enum { TIME_WAIT_SECONDS = 60, PORTS = 65536 };

/* A set of ports, one bit each. */
struct port_set {
    uint64_t word[PORTS / 64];
};
bool port_in(const struct port_set *set, unsigned port);

/* What this host lets connect() choose from. */
struct host_ports {
    struct port_range ephemeral;
    struct port_set reserved;
};

/* The two sysctls as the kernel writes them: "32768\t60999" and "8080,9148-9150" (or nothing). False: not of that form.
 */
bool host_ports_parse(struct host_ports *out, const char *ip_local_port_range, const char *ip_local_reserved_ports);

/* Ports of a pool. */
struct port_count {
    uint32_t configured; /* named by the pool, or the whole ephemeral range */
    uint32_t usable;   /* of those, what a connect can get: inside and not reserved, or outside and bound explicitly */
    uint32_t reserved; /* of those in the ephemeral range, reserved: the kernel skips them */
    uint32_t outside;  /* of those, not in the ephemeral range: bound explicitly, if the pool has addresses to bind */
};
struct port_count pool_ports(const struct policy *p, const struct policy_pool *pool, const struct host_ports *host);

/* One rule towards destinations of one scope. */
struct capacity {
    uint64_t sources; /* 1 for the kernel's own choice; 0: no source fits, the rule does nothing here */
    uint64_t ports;
    uint64_t quadruplets; /* sources x ports, per destination (peer address and peer port) */
    double per_second;    /* new connections a second and destination, sustained: each quadruplet once in 60 s */
    double ring_seconds;  /* until the event buffer has turned over at that rate; 0: never */
    bool own_choice;      /* the pool names no address: the kernel chooses */
};
struct capacity capacity_of(const struct policy *p, const struct policy_pool *pool, enum addr_scope scope,
                            const struct host_ports *host, uint64_t close_cells);

/* Destinations that a rule covers: are there any of this scope, and is it one single peer address and port? */
bool rule_reaches(const struct policy *p, const struct policy_rule *rule, enum addr_scope scope);
bool rule_has_one_destination(const struct policy *p, const struct policy_rule *rule);

/* Can no connection ever come to rule later, since rule earlier takes them all? Errs towards false. */
bool rule_shadows(const struct policy *p, const struct policy_rule *earlier, const struct policy_rule *later);

/* The endpoints of a rule towards destinations of one scope: the client's own, and those of also-to. 1: no others; nor
 * are there any that count if the pool shares no ports, whose quadruplets are the same for all destinations. */
unsigned rule_endpoints(const struct policy *p, const struct policy_rule *rule, enum addr_scope scope);

/* The addresses of a pool in one scope: clamped to the policy's arrays. */
struct policy_span pool_sources(const struct policy *p, const struct policy_pool *pool, enum addr_scope scope);

/* Does an address lie in a range of sources? */
bool source_has(const struct policy_source *s, const struct addr *a);
bool pool_has_sources(const struct policy_pool *pool);

#endif
