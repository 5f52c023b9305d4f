/* publisher STATE-FILE FOLDER N: publishes policies one after the other, as `connspread reload` does, without its
 * start-up time: N of them, and then until its standard input ends. The i-th carries a marker: source 10.0.0.(11 + i %
 * 4) goes with ports 20000 + i % 4 * 10000 and the 4,999 after, and with title "mI" for I = i % 4. */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/addr.c"
#include "state/segment.c"
#include "state/control.c"
#include "state/create.c"
#include "state/boot.c"
#include "policy/glob.c"
#include "policy/policy.c"
#include "policy/program.c"
#include "state/folder.c"
#include "state/state.c"
#include "state/control.h"

static void mark(struct policy *p, unsigned i) {
    unsigned marker = i % 4;
    struct policy_pool *pool = &p->pool[0];
    policy_default(p);
    p->origin.mtime_ns = i + 1;
    p->n_rules = p->n_pools = p->n_targets = p->n_sources = p->n_ports = 1;
    p->target[0] = (struct policy_target){.any = 1, .ports = {0, 65535}};
    p->source[0] = (struct policy_source){.first = addr_from_v4(0x0a00000bu + marker), .count = 1};
    p->ports[0] = (struct port_range){(uint16_t)(20000 + marker * 10000), (uint16_t)(24999 + marker * 10000)};
    p->rule[0].to = (struct policy_span){0, 1};
    p->rule[0].except = p->rule[0].programs = (struct policy_span){0, 0};
    pool->sources[SCOPE_V4] = pool->ports = (struct policy_span){0, 1};
    pool->total[SCOPE_V4] = 1;
    (void)snprintf(p->rule[0].title, POLICY_TITLE, "m%u", marker);
    (void)snprintf(pool->title, POLICY_TITLE, "m%u", marker);
}

static bool input_has_ended(void) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, 0) != 0;
}

int main(int argc, char **argv) {
    static struct policy policy;
    struct state s;
    int error;
    if (argc != 4 || state_map(&s, argv[1], &error) != STATE_OK)
        return 2;
    for (unsigned i = 0; i < (unsigned)atoi(argv[3]) || !input_has_ended(); i++) {
        mark(&policy, i);
        if (!state_publish(&s, &policy, argv[2]))
            return 1;
        if (i == 3 && (puts("publishing") < 0 || fflush(stdout) != 0))
            return 1;
        (void)usleep(300);
    }
    return 0;
}
