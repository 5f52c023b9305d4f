/* reading.h - what the parts of the config loader share while one file is being read. Internal to src/config. */
#ifndef CONNSPREAD_CONFIG_READING_H
#define CONNSPREAD_CONFIG_READING_H

#include <ifaddrs.h>

#include "config/mistakes.h"
#include "config/source.h"
#include "policy/policy.h"

enum { PORT_BITMAP = 65536 / 8 };

/* One value as it stands in the file. */
struct entry {
    int line;
    char text[];
};

/* The addresses of one scope of a pool, merged as they come. */
struct source_list {
    struct policy_source range[POOL_SOURCES];
    unsigned count;
};

struct reading {
    struct policy *out;
    struct mistakes *m;
    const struct source *source;
    bool stopped; /* libconfuse gave up early: what is missing may stand further down */

    /* Of the section being compiled. */
    const char *section, *key;
    struct policy_pool *pool;
    struct policy_rule *rule;
    struct source_list sources[SCOPE_COUNT];
    uint8_t ports[PORT_BITMAP];
    bool has_ports, has_exclusions, has_pool;
    int section_line, section_mistakes, ports_line, exclusions_line;
    int without_line, hash_by_line; /* of exclude-addresses and hash-by; 0: not there */
    uint8_t prefix_step;

    struct ifaddrs *interfaces; /* of this host, listed when a name is first met */
};

#endif
