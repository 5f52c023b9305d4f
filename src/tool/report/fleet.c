#include "tool/report/fleet.h"

#include <stdlib.h>
#include <string.h>

static bool same_trouble(const struct fleet_trouble *t, const struct incident_key *k) {
    return t->kind == k->kind && t->cause == k->cause && t->port == k->to.port &&
           memcmp(&t->peer, &k->to.peer, sizeof t->peer) == 0 && memcmp(&t->local, &k->local, sizeof t->local) == 0;
}

/* That of a key; a new one where there is room, else NULL. */
static struct fleet_trouble *trouble_of(struct fleet *fleet, const struct incident_key *k) {
    for (unsigned i = 0; i < fleet->n; i++)
        if (same_trouble(&fleet->trouble[i], k))
            return &fleet->trouble[i];
    if (fleet->n == FLEET_TROUBLES)
        return NULL;
    struct fleet_trouble *t = &fleet->trouble[fleet->n++];
    *t = (struct fleet_trouble){
        .kind = k->kind, .cause = k->cause, .peer = k->to.peer, .local = k->local, .port = k->to.port};
    return t;
}

static void add_incident(struct fleet *fleet, const struct incident *i) {
    unsigned host = i->key.to.host % REPORT_HOSTS;
    struct fleet_trouble *t = i->failed || i->key.kind == EVENT_SOURCE_DOWN ? trouble_of(fleet, &i->key) : NULL;
    if (!t) {
        fleet->omitted += i->failed > 0;
        return;
    }
    t->failed += i->failed;
    t->by[host] += i->failed;
    t->first[host] = !t->on[host] || i->first_us < t->first[host] ? i->first_us : t->first[host];
    t->n_on += !t->on[host];
    t->on[host] = true;
}

static bool anywhere(const struct fleet_trouble *t) {
    return t->port == 0;
}

static void note_reach(struct fleet *fleet, const struct facts *f) {
    size_t at = 0;
    for (const struct flow *flow; (flow = report_table_next(&f->flows, &at));) {
        const struct destination_key *to = &flow->key.to;
        unsigned host = to->host % REPORT_HOSTS;
        fleet->last_us[host] = flow->last_us > fleet->last_us[host] ? flow->last_us : fleet->last_us[host];
        for (unsigned i = 0; i < fleet->n; i++) {
            struct fleet_trouble *t = &fleet->trouble[i];
            if (flow->key.direction == OUTBOUND && t->port == to->port &&
                memcmp(&t->peer, &to->peer, sizeof to->peer) == 0)
                t->reach[host] = true;
        }
    }
}

static int compare_times(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* The lower of two in the middle: of two hosts the later one is apart. */
static uint64_t median_of(const struct fleet_trouble *t) {
    uint64_t first[REPORT_HOSTS] = {0};
    unsigned n = 0;
    for (unsigned h = 0; h < REPORT_HOSTS; h++)
        if (t->on[h])
            first[n++] = t->first[h];
    qsort(first, n, sizeof first[0], compare_times);
    return n ? first[(n - 1) / 2] : 0;
}

static int compare_troubles(const void *left, const void *right) {
    const struct fleet_trouble *a = left, *b = right;
    if (a->failed != b->failed)
        return a->failed > b->failed ? -1 : 1;
    return a->n_on > b->n_on ? -1 : a->n_on < b->n_on;
}

/* By insertion: qsort has no place for the facts. */
static void sort_hosts(struct fleet *fleet, const struct facts *f) {
    for (unsigned h = 0; h < f->n_hosts && h < REPORT_HOSTS; h++) {
        unsigned i = fleet->n_hosts++;
        for (; i > 0 && strcmp(f->host[fleet->host[i - 1]].name, f->host[h].name) > 0; i--)
            fleet->host[i] = fleet->host[i - 1];
        fleet->host[i] = h;
    }
}

void fleet_find(const struct facts *f, struct fleet *out) {
    size_t at = 0;
    memset(out, 0, sizeof *out);
    sort_hosts(out, f);
    for (const struct incident *i; (i = report_table_next(&f->incidents, &at));)
        add_incident(out, i);
    note_reach(out, f);
    for (unsigned i = 0; i < out->n; i++) {
        struct fleet_trouble *t = &out->trouble[i];
        for (unsigned h = 0; h < out->n_hosts; h++) {
            t->reach[h] |= t->on[h] || anywhere(t);
            t->n_reach += t->reach[h];
        }
        t->median_us = median_of(t);
    }
    qsort(out->trouble, out->n, sizeof out->trouble[0], compare_troubles);
}

int64_t fleet_apart_s(const struct fleet_trouble *t, unsigned host) {
    int64_t apart = ((int64_t)t->first[host] - (int64_t)t->median_us) / 1000000;
    return t->n_on < 2 || !t->on[host] || (apart < FLEET_APART_S && apart > -FLEET_APART_S) ? 0 : apart;
}

uint64_t fleet_ahead_s(const struct fleet *fleet, unsigned host, uint64_t now_us) {
    uint64_t last = fleet->last_us[host];
    return last > now_us && (last - now_us) / 1000000 >= FLEET_AHEAD_S ? (last - now_us) / 1000000 : 0;
}
