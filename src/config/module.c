/* module.c - what connspread-config.so offers to a preloaded client, and all that it exports. */
#include "config/load.h"
#include "policy/policy.h"

__attribute__((visibility("default"))) int connspread_config_load(const char *path, struct policy *out, char *errors,
                                                                  size_t size);

int connspread_config_load(const char *path, struct policy *out, char *errors, size_t size) {
    int mistakes = config_load(path, out, errors, size);
    if (mistakes == 0 && size > 0)
        errors[0] = '\0'; /* notes are for `connspread check` */
    return mistakes;
}
