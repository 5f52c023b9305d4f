#include "tool/record/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "state/ring.h"
#include "tool/common/strbuf.h"
#include "tool/common/time_text.h"
#include "tool/host/holders.h"
#include "tool/host/host.h"
#include "tool/host/netns.h"

static const uint64_t every_ns = UINT64_C(30) * 1000000000, fresh_us = 2000000;

static bool concerns_us(const struct event_record *r) {
    const struct event_exhausted *x = &r->u.exhausted;
    return r->e.kind == EVENT_EXHAUSTED && x->call == CALL_CONNECT && x->cause == CAUSE_RANGE_FULL &&
           x->outcome == OUTCOME_FAILED && r->e.time_us + fresh_us > time_now_us() && r->e.netns == netns_cookie();
}

/* "batchjob (pid 12) had 8 ports bound: 40000-40007" */
static void tell(struct strbuf *text, const struct holder *h, const char *what) {
    if (h->pid == 0)
        return;
    if (text->at != text->start)
        strbuf_text(text, "; ");
    strbuf_plain(text, h->name, sizeof h->name);
    strbuf_text(text, " (pid ");
    strbuf_number(text, h->pid);
    strbuf_text(text, ") had ");
    strbuf_number(text, h->ports);
    strbuf_text(text, what);
    strbuf_text(text, h->some);
}

static void take(const struct state *state, const char *mapping, const struct event_record *r) {
    struct event_record told = {.e = {.kind = EVENT_HOLDERS, .program = "connspread"}};
    const struct endpoint to = {.addr = r->e.peer, .port = r->e.peer_port};
    struct holder found[HOLDERS];
    struct host_ports ports;
    struct strbuf text;
    const char *what;
    strbuf_init(&text, told.u.text, sizeof told.u.text);
    if (host_look_at_ports(&ports, &what)) {
        const struct holder binder = holders_largest(found, holders_of_binds(&ports, found));
        tell(&text, &binder, " ports bound: ");
    }
    const struct holder connected = holders_largest(found, holders_of_connections(&to, mapping, found));
    tell(&text, &connected, " connections open to there, from the ports ");
    (void)strbuf_finish(&text);
    if (told.u.text[0] == 0)
        return;
    told.e.time_us = time_now_us();
    told.e.netns = r->e.netns;
    told.e.pid = told.e.tid = (uint32_t)getpid();
    told.e.peer = r->e.peer;
    told.e.peer_port = r->e.peer_port;
    (void)ring_write(state, &told);
}

void snapshot_look(struct snapshot *s, const struct state *state, const char *mapping, const struct event_record *r) {
    if (!concerns_us(r))
        return;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    if (s->taken && now - s->taken < every_ns)
        return;
    s->taken = now;
    take(state, mapping, r);
}
