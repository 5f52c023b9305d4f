#include "tool/common/settings.h"

#include <stdio.h>
#include <stdlib.h>

#include "tool/common/message.h"
#include "config/load.h"

enum { ERRORS_BYTES = 64 << 10 };

bool settings_load(const struct location *where, struct policy *out) {
    char *notes;
    bool good = settings_load_noted(where, out, &notes);
    free(notes);
    return good;
}

bool settings_load_noted(const struct location *where, struct policy *out, char **notes) {
    *notes = NULL;
    if (!where->config[0]) {
        policy_default(out);
        return true;
    }
    char *errors = calloc(1, ERRORS_BYTES);
    if (!errors) {
        warn("no memory: %d bytes are needed", ERRORS_BYTES);
        return false;
    }
    int mistakes = config_load(where->config, out, errors, ERRORS_BYTES);
    if (mistakes > 0) {
        warn_lines(errors);
        warn("%s: refused: %d mistake%s; try: man connspread.conf, which has every key", where->config, mistakes,
             mistakes == 1 ? "" : "s");
    }
    if (mistakes == 0)
        *notes = errors;
    else
        free(errors);
    return mistakes == 0;
}
