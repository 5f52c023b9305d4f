#include "tool/common/override.h"

#include <stdio.h>
#include <string.h>

int override_mode(const char *name) {
    for (int i = 0; i < MODE_COUNT; i++)
        if (strcmp(policy_mode_word[i], name) == 0)
            return i;
    return -1;
}

const char *override_mode_name(unsigned mode) {
    return mode < MODE_COUNT ? policy_mode_word[mode] : "unknown";
}

void override_text(char out[OVERRIDE_TEXT], struct control c, const struct settings *settings) {
    char mode[32], canary[32];
    if (c.has_mode || settings)
        snprintf(mode, sizeof mode, "%s (%s)", override_mode_name(c.has_mode ? c.mode : settings->mode),
                 c.has_mode ? "set" : "config");
    else
        snprintf(mode, sizeof mode, "as configured");
    if (c.has_canary || settings)
        snprintf(canary, sizeof canary, "%d %% (%s)", c.has_canary ? c.canary : settings->canary,
                 c.has_canary ? "set" : "config");
    else
        snprintf(canary, sizeof canary, "as configured");
    snprintf(out, OVERRIDE_TEXT, "mode %s, canary %s", mode, canary);
}

void override_followers(unsigned n) {
    printf("followed by %u process%s\n", n, n == 1 ? "" : "es");
}
