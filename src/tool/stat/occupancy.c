#include "tool/stat/occupancy.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "tool/host/host.h"
#include "tool/stat/model.h"
#include "tool/host/dump.h"
#include "state/control.h"

struct quadruplet {
    struct addr local, peer;
    uint16_t peer_port;
};

struct quadruplets {
    struct quadruplet *q;
    size_t n, room;
    bool no_memory;
};

/* Everything that keeps a quadruplet taken. */
static const uint32_t states = ~(1u << TCP_LISTEN | 1u << TCP_CLOSE) & 0xfffu;

static void collect(const struct dump_socket *s, void *context) {
    struct quadruplets *all = context;
    if (all->n == all->room) {
        size_t more = all->room ? 2 * all->room : 1024;
        struct quadruplet *grown = realloc(all->q, more * sizeof *grown);
        all->no_memory = all->no_memory || !grown;
        if (!grown)
            return;
        all->q = grown;
        all->room = more;
    }
    all->q[all->n++] = (struct quadruplet){s->local, s->peer, s->peer_port};
}

static int compare(const void *left, const void *right) {
    const struct quadruplet *a = left, *b = right;
    int order = addr_compare(&a->local, &b->local);
    if (order == 0)
        order = addr_compare(&a->peer, &b->peer);
    return order ? order : (a->peer_port > b->peer_port) - (a->peer_port < b->peer_port);
}

/* The rule's source that this address is; false: it is none. A pool without addresses takes whatever the kernel took.
 */
static bool is_source(const struct match *match, const struct addr *local) {
    if (!match->has_sources)
        return true;
    for (unsigned i = 0; i < match->n_sources && i < POOL_SOURCES; i++) {
        if (source_has(&match->source[i], local))
            return true;
    }
    return false;
}

void stat_note_occupancy(struct stat_report *r, const char rule[POLICY_TITLE], const char *source, uint64_t taken,
                         uint64_t capacity) {
    struct stat_occupancy *o = NULL;
    for (unsigned i = 0; i < r->n_occupancies && !o; i++)
        if (strcmp(r->occupancy[i].rule, rule) == 0 && strcmp(r->occupancy[i].source, source) == 0)
            o = &r->occupancy[i];
    if (!o && r->n_occupancies < STAT_OCCUPANCIES) {
        o = &r->occupancy[r->n_occupancies++];
        o->taken = 0; /* it may hold what another instance's report had there */
    }
    if (!o || o->taken > taken)
        return;
    memcpy(o->rule, rule, sizeof o->rule);
    memcpy(o->source, source, strlen(source) + 1);
    o->taken = taken;
    o->capacity = capacity;
}

/* alone: a policy that consists of this rule, for any program. */
static void measure_rule(struct stat_report *r, const struct policy *alone, const struct quadruplets *all,
                         const struct host_ports *ports, uint64_t *budget) {
    static struct match match;
    char rule[POLICY_TITLE] = "", source[ADDR_TEXT];
    size_t next;
    const struct policy_pool *pool = &alone->pool[alone->rule[0].pool % POLICY_POOLS];
    struct port_count count = pool_ports(alone, pool, ports);
    uint64_t capacity = count.usable;
    memcpy(rule, alone->rule[0].title, sizeof rule - 1);
    for (size_t i = 0; i < all->n && capacity && *budget; i = next, --*budget) {
        const struct quadruplet *q = &all->q[i];
        const struct endpoint destination = {.addr = q->peer, .port = q->peer_port};
        for (next = i + 1; next < all->n && compare(q, &all->q[next]) == 0; next++)
            ;
        policy_match(alone, &destination, "", &match);
        if (!match.matched || !is_source(&match, &q->local))
            continue;
        if (match.has_sources)
            format_address(source, &q->local);
        else
            memcpy(source, "any", sizeof "any");
        stat_note_occupancy(r, rule, source, next - i, capacity);
    }
}

/* Rules are looked at one by one: which program a socket belongs to is not known, so an earlier rule proves nothing. */
static void measure(struct stat_report *r, struct policy *p, const struct quadruplets *all,
                    const struct host_ports *ports, uint64_t *budget) {
    static struct policy_rule rule[POLICY_RULES];
    unsigned n = p->n_rules < POLICY_RULES ? p->n_rules : (unsigned)POLICY_RULES;
    memcpy(rule, p->rule, sizeof rule);
    p->n_rules = 1;
    for (unsigned i = 0; i < n; i++) {
        if (rule[i].action != ACTION_SPREAD)
            continue;
        p->rule[0] = rule[i];
        p->rule[0].programs.count = 0;
        measure_rule(r, p, all, ports, budget);
    }
}

static struct {
    bool taken;
    int result;
    struct quadruplets all;
    struct host host;
} now;

static int look(void) {
    const char *what;
    if (now.taken)
        return now.result;
    now.taken = true;
    now.result = dump_sockets(states, collect, &now.all);
    if (now.all.no_memory)
        now.result = -ENOMEM;
    (void)host_look(&now.host, &what); /* it holds the kernel's defaults for what cannot be read */
    if (now.all.n)
        qsort(now.all.q, now.all.n, sizeof *now.all.q, compare);
    return now.result;
}

bool stat_take_occupancy(struct stat_report *out, const struct state *s, uint64_t *budget) {
    struct policy *p = malloc(sizeof *p);
    int result = p ? 0 : -ENOMEM;
    bool has_policy = p && state_policy(s, p);
    if (has_policy)
        result = look();
    if (has_policy && result == 0)
        measure(out, p, &now.all, &now.host.ports, budget);
    free(p);
    errno = -result;
    return result == 0;
}
