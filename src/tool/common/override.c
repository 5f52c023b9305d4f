#include "tool/common/override.h"

#include <stdio.h>
#include <string.h>

static const char *const modes[MODE_COUNT] = {
    [MODE_ENFORCE] = "enforce",
    [MODE_OBSERVE] = "observe",
    [MODE_OFF] = "off",
};

int dial_mode(const char *name) {
    for (int i = 0; i < MODE_COUNT; i++)
        if (strcmp(modes[i], name) == 0)
            return i;
    return -1;
}

const char *dial_mode_name(unsigned mode) {
    return mode < MODE_COUNT ? modes[mode] : "unknown";
}

void dial_text(char out[DIAL_TEXT], struct control c, const struct settings *settings) {
    char mode[32], canary[32];
    if (c.has_mode || settings)
        snprintf(mode, sizeof mode, "%s (%s)", dial_mode_name(c.has_mode ? c.mode : settings->mode),
                 c.has_mode ? "set" : "config");
    else
        snprintf(mode, sizeof mode, "as configured");
    if (c.has_canary || settings)
        snprintf(canary, sizeof canary, "%d %% (%s)", c.has_canary ? c.canary : settings->canary,
                 c.has_canary ? "set" : "config");
    else
        snprintf(canary, sizeof canary, "as configured");
    snprintf(out, DIAL_TEXT, "mode %s, canary %s", mode, canary);
}

void dial_followers(unsigned n) {
    printf("followed by %u process%s\n", n, n == 1 ? "" : "es");
}
