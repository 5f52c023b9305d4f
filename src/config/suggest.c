#include "config/suggest.h"

#include <stdio.h>
#include <string.h>

#include "config/compile.h"
#include "text/edits.h"

static void nearest(const char *candidate, const char *name, const char **best, unsigned *distance) {
    unsigned d = edits_between(name, candidate);
    if (d < *distance) {
        *distance = d;
        *best = candidate;
    }
}

static bool has(const struct key *keys, const char *name) {
    for (; keys->name; keys++)
        if (strcmp(keys->name, name) == 0)
            return true;
    return false;
}

/* Keys that had another name before 0.1.0. */
static const char *new_name(const struct key *keys, const char *name) {
    static const struct { const char *old, *now; } renamed[] = {{"app-bound", "client-bind"}};
    for (unsigned i = 0; i < sizeof renamed / sizeof *renamed; i++)
        if (strcmp(renamed[i].old, name) == 0 && has(keys, renamed[i].now))
            return renamed[i].now;
    return NULL;
}

static void list(const struct key *keys, char *out) {
    size_t used = 0;
    for (; keys->name && used < SUGGESTION; keys++)
        used += (size_t)snprintf(out + used, SUGGESTION - used, "%s%s", used ? ", " : "", keys->name);
}

void suggest(const struct key *const keys[], const char *const names[], int kinds, int here, const char *name,
             char out[SUGGESTION]) {
    const char *best = new_name(keys[here], name);
    unsigned distance = best ? 0 : strlen(name) < 4 ? 2 : 3; /* more edits make another word */
    for (const struct key *key = keys[here]; key->name; key++)
        nearest(key->name, name, &best, &distance);
    for (int i = 1; here == 0 && i < kinds; i++)
        nearest(names[i], name, &best, &distance);
    if (best) {
        snprintf(out, SUGGESTION, "%s", best);
        return;
    }
    for (int i = 0; i < kinds; i++)
        if (here != 0 && strcmp(names[i], name) == 0) {
            snprintf(out, SUGGESTION, "close %s with } before it", names[here]);
            return;
        } else if (i != here && has(keys[i], name)) {
            snprintf(out, SUGGESTION, i == 0 ? "outside of sections" : "in section %s", names[i]);
            return;
        }
    list(keys[here], out);
    if (here == 0)
        snprintf(out + strlen(out), SUGGESTION - strlen(out),
                 ", log { }, state { }, pool \"...\" { } or rule \"...\" { }");
}
