/* compile.h - the keys of each section: from a value in the file to its place in struct policy. */
#ifndef CONNSPREAD_CONFIG_COMPILE_H
#define CONNSPREAD_CONFIG_COMPILE_H

#include <stdbool.h>

#include "config/reading.h"

/* One key of a section. A list is taken one value at a time. */
struct key {
    const char *name;
    bool list;
    void (*take)(struct reading *r, const struct entry *e);
};

/* Tables end with a NULL name. */
extern const struct key config_root_keys[], config_log_keys[], config_state_keys[], config_pool_keys[],
    config_rule_keys[];

#endif
