#include "tool/report/who.h"

#include <stdlib.h>
#include <string.h>

#include "tool/report/causes.h"
#include "tool/report/find.h"

enum { FRESH_US = 600 * 1000000 };

/* The name of the instance's state file, which its clients have mapped; NULL: there is none. */
static const char *mapping_of(const struct report *r) {
    for (unsigned i = 0; i < r->inputs.n; i++)
        if (r->inputs.input[i].is_state) {
            const char *slash = strrchr(r->inputs.input[i].name, '/');
            return slash ? slash + 1 : r->inputs.input[i].name;
        }
    return NULL;
}

static bool is_fresh(const struct report *r, const struct finding *f) {
    return f->last_us + FRESH_US > r->now_us && report_is_here(r, &f->incident->key.to);
}

static void name_connected(const struct report *r, struct finding *f) {
    struct holder connected[HOLDERS];
    const struct moment *m = &f->incident->first;
    const struct endpoint to = {.addr = m->peer, .port = m->peer_port};
    f->connected = holders_largest(connected, holders_of_connections(&to, mapping_of(r), connected));
}

void report_name_holders(struct report *r) {
    struct held_ports *held = NULL; /* found once: each port is asked for */
    for (unsigned i = 0; i < r->n_findings; i++) {
        struct finding *f = &r->finding[i];
        if (!is_fresh(r, f))
            continue;
        if (causes_has(f, CONCLUDE_OTHERS))
            name_connected(r, f);
        if (!causes_has(f, CONCLUDE_EXPLICIT) && !causes_has(f, CONCLUDE_ELSEWHERE))
            continue;
        if (!held && (held = calloc(1, sizeof *held)))
            holders_find(&r->here.host.ports, held);
        if (held && held->known)
            f->binder = holders_largest(held->binder, held->n_binders);
    }
    free(held);
}
