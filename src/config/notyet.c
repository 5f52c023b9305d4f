/* notyet.c - values that the config's grammar has and the shim does not act on yet. They are refused rather than
 * ignored. To enable a feature, delete its row. */
#include <string.h>

#include "config/reading.h"

static const struct {
    const char *section, *key;
    enum { REFUSED, ONLY } number_is; /* the one number that is refused, or the only one that is not */
    uint64_t number;
    const char *right;
} rows[] = {
    {"root", "mode", REFUSED, MODE_OBSERVE, "\"enforce\" or \"off\""},
    {"root", "canary", ONLY, 100, "100"},
    {"root", "canary-by", REFUSED, BY_CONNECTION, "\"process\""},
};

const char *config_not_yet(const char *section, const char *key, uint64_t number) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].section, section) == 0 && strcmp(rows[i].key, key) == 0 &&
            (rows[i].number == number) == (rows[i].number_is == REFUSED))
            return rows[i].right;
    return NULL;
}
