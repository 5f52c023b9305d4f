#include "close/trace.h"

#include "base/text.h"
#include "client/client.h"
#include "client/events.h"
#include "state/ring.h"

/* What the socket said besides its state, and what followed from it. */
static void say_why(const struct closing *c, enum fate fate, enum verified verified, char *out, size_t size) {
    const struct fate_facts *f = &c->facts;
    const struct {
        bool is;
        const char *text;
    } facts[] = {
        {!f->connected, "no handshake is known of"},
        {f->shutdown_phase != TCP_STATE_UNKNOWN, "it was shut down before"},
        {f->unread, "data in the receive queue"},
        {f->linger_reset, "SO_LINGER with time 0"},
        {f->repair, "TCP_REPAIR"},
        {f->linger2_off, "TCP_LINGER2 below 0"},
        {f->mptcp, "MPTCP"},
        {f->fallback, "MPTCP that fell back to TCP"},
        {f->others, "another process may hold it"},
        {c->raced, "another thread closed the descriptor too"},
        {c->verdict.ask, "only the kernel can tell"},
        {verified == VERIFIED_TRUE, "the kernel was asked"},
        {verified == VERIFIED_FALSE, "the kernel was asked and did not know"},
        {fate != c->verdict.fate, "expected otherwise before the close"},
    };
    size_t at = 0;
    for (unsigned i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        if (!facts[i].is)
            continue;
        text_add(out, size, &at, at ? ", " : "");
        text_add(out, size, &at, facts[i].text);
    }
    if (at == 0)
        text_add(out, size, &at, "by its state alone");
}

void trace_fill(const struct closing *c, struct event_record *r, enum fate fate, enum verified verified, uint64_t now) {
    bool by_shutdown = c->verdict.decided_by == DECIDED_BY_SHUTDOWN && fate != FATE_RESET;
    r->e.via = (uint8_t)c->via;
    r->e.phase = (uint8_t)c->facts.phase;
    r->e.fate = (uint8_t)fate;
    r->e.verified = (uint8_t)verified;
    if (by_shutdown) {
        uint64_t ago = c->conn->shutdown_ns && now > c->conn->shutdown_ns ? now - c->conn->shutdown_ns : 0;
        r->e.decided_by = DECIDED_BY_SHUTDOWN;
        r->e.decided_before_ms = (uint32_t)(ago / 1000000);
    }
}

__attribute__((noinline)) void trace_close(const struct closing *c, enum fate fate, enum verified verified,
                                           uint64_t now) {
    struct event_record r;
    event_of_conn(c->client, &r, EVENT_TRACE_CLOSE, c->conn, now);
    trace_fill(c, &r, fate, verified, now);
    say_why(c, fate, verified, r.u.text, sizeof r.u.text);
    (void)ring_write(&c->client->state, &r);
}
