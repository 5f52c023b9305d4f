#include "tool/events/text.h"

#include <string.h>

#include "tool/events/format.h"
#include "tool/events/names.h"
#include "tool/events/occupied.h"
#include "tool/common/strbuf.h"
#include "text/parse.h"

enum { KIND_WIDTH = 12 };

static void put_head(struct strbuf *s, const struct event *e) {
    const char *kind = event_name(NAMES_KIND, e->kind);
    size_t length = strlen(kind);
    strbuf_time(s, e->time_us);
    strbuf_bytes(s, " ", 1);
    strbuf_text(s, kind);
    strbuf_bytes(s, "            ", length < KIND_WIDTH ? KIND_WIDTH - length : 1);
    strbuf_plain(s, e->program, sizeof e->program);
    strbuf_bytes(s, "[", 1);
    strbuf_number(s, e->pid);
    strbuf_bytes(s, "] ", 2);
}

/* "*" for a socket that was not bound: the kernel was to choose. */
static void put_endpoint(struct strbuf *s, const struct addr *a, uint16_t port) {
    char text[ENDPOINT_TEXT];
    if (addr_is_any(a) && port == 0) {
        strbuf_bytes(s, "*", 1);
        return;
    }
    if (port)
        format_endpoint(text, a, port);
    else
        format_address(text, a);
    strbuf_text(s, text);
}

static void put_connection(struct strbuf *s, const struct event *e) {
    put_endpoint(s, &e->local, e->local_port);
    strbuf_text(s, e->direction == INBOUND ? " <- " : " -> ");
    put_endpoint(s, &e->peer, e->peer_port);
    strbuf_bytes(s, " ", 1);
}

/* Three digits are enough to judge a duration by: 850us, 12.3ms, 4.5s, 7200s. */
static void put_duration(struct strbuf *s, uint64_t us) {
    uint64_t unit = us < 1000 ? 1 : us < 1000000 ? 1000 : 1000000;
    strbuf_number(s, us / unit);
    if (unit > 1 && us / unit < 100) {
        strbuf_bytes(s, ".", 1);
        strbuf_number(s, us % unit * 10 / unit);
    }
    strbuf_text(s, unit == 1 ? "us" : unit == 1000 ? "ms" : "s");
}

static void put_rule(struct strbuf *s, const struct event *e, const struct event_context *c) {
    if (c->rule[0]) {
        strbuf_text(s, ", rule ");
        strbuf_plain(s, c->rule, sizeof c->rule);
    }
    if (e->arm != ARM_ENFORCE) {
        strbuf_text(s, ", arm ");
        strbuf_text(s, event_name(NAMES_ARM, e->arm));
    }
}

static void put_close(struct strbuf *s, const struct event *e) {
    strbuf_text(s, event_name(NAMES_VIA, e->via));
    strbuf_text(s, " in ");
    strbuf_text(s, event_name(NAMES_PHASE, e->phase));
    if (e->kind == EVENT_CLOSE) {
        strbuf_text(s, ": ");
        strbuf_text(s, event_name(NAMES_FATE, e->fate));
    }
    if (e->decided_by == DECIDED_BY_SHUTDOWN) {
        strbuf_text(s, ", decided by shutdown ");
        put_duration(s, (uint64_t)e->decided_before_ms * 1000);
        strbuf_text(s, " before");
    }
    strbuf_text(s, ", age ");
    put_duration(s, e->age_us);
    if (e->verified == VERIFIED_TRUE)
        strbuf_text(s, ", verified");
    else if (e->verified == VERIFIED_FALSE) /* the kernel was asked and did not know, or could not be asked any more */
        strbuf_text(s, e->via == VIA_KILLED || e->via == VIA_EXEC ? ", inferred" : ", unconfirmed");
}

static void put_asked_for(struct strbuf *s, const struct event_asked *asked) {
    if (asked->port == 0)
        return;
    strbuf_text(s, ", asked for ");
    put_endpoint(s, &asked->address, asked->port);
}

static void put_gone(struct strbuf *s, const struct event *e) {
    strbuf_text(s, event_name(NAMES_GONE, e->via));
    strbuf_text(s, ", last seen in ");
    strbuf_text(s, event_name(NAMES_PHASE, e->phase));
    strbuf_text(s, ", ");
    put_duration(s, (uint64_t)e->decided_before_ms * 1000);
    strbuf_text(s, " after the close");
}

static void put_count(struct strbuf *s, uint64_t n, const char *what) {
    strbuf_number(s, n);
    strbuf_text(s, what);
}

static void put_kernel(struct strbuf *s, const struct exhausted_source *x) {
    if (x->counted == COUNTED_NO)
        return;
    strbuf_text(s, x->counted == COUNTED_ALL ? "; in the kernel " : "; in the kernel about ");
    put_count(s, x->kernel[KERNEL_ESTABLISHED], " established, ");
    put_count(s, x->kernel[KERNEL_TIME_WAIT], " in TIME-WAIT, ");
    put_count(s, x->kernel[KERNEL_FIN_WAIT], " in FIN-WAIT, ");
    put_count(s, x->kernel[KERNEL_CLOSE_WAIT], " in CLOSE-WAIT, ");
    put_count(s, x->kernel[KERNEL_OTHER], " other");
}

static void put_source(struct strbuf *s, const struct exhausted_source *x) {
    strbuf_text(s, "\n    ");
    put_endpoint(s, &x->address, 0);
    strbuf_text(s, " ports ");
    if (x->ports.low == 0 && x->ports.high == 0) {
        strbuf_text(s, "of the ephemeral range");
    } else {
        strbuf_number(s, x->ports.low);
        strbuf_bytes(s, "-", 1);
        strbuf_number(s, x->ports.high);
    }
    strbuf_text(s, ": ");
    strbuf_text(s, event_name(NAMES_CAUSE, x->cause));
    strbuf_text(s, ", ");
    put_count(s, x->open, " open, ");
    put_count(s, x->time_wait, " in TIME-WAIT");
    put_kernel(s, x);
}

static void put_exhausted(struct strbuf *s, const struct event_exhausted *x) {
    strbuf_text(s, event_name(NAMES_CALL, x->call));
    strbuf_text(s, ": ");
    strbuf_text(s, event_name(NAMES_CAUSE, x->cause));
    strbuf_text(s, ", ");
    strbuf_text(s, event_name(NAMES_OUTCOME, x->outcome));
    strbuf_text(s, " after ");
    strbuf_number(s, x->attempts);
    strbuf_text(s, x->attempts == 1 ? " attempt in " : " attempts in ");
    put_duration(s, x->elapsed_us);
}

static void put_exhausted_sources(struct strbuf *s, const struct event_exhausted *x) {
    unsigned sources = event_sources(x);
    for (unsigned i = 0; i < sources; i++)
        put_source(s, &x->source[i]);
    if (x->omitted > 0) {
        strbuf_text(s, "\n    and ");
        strbuf_number(s, x->omitted);
        strbuf_text(s, " more");
    }
}

/* What the numbers of the sources have to be held against. */
static void put_evidence(struct strbuf *s, const struct event_exhausted *x) {
    static const char *const verdict[OCCUPIED_BYS] = {
        [OCCUPIED_INSTANCE] = "taken by this instance's own connections; ",
        [OCCUPIED_OTHERS] = "taken by connections of processes outside this instance; ",
        [OCCUPIED_BOUND] = "few connections: sockets bound to ports of the range block it; ",
    };
    const char *by = verdict[occupied_by(x)];
    if (x->capacity == 0 && x->recent_s == 0)
        return;
    strbuf_text(s, "\n    ");
    if (by)
        strbuf_text(s, by);
    if (x->capacity) {
        put_count(s, x->capacity, " quadruplets a source, ");
        put_count(s, x->reserved, " ports reserved, ");
    }
    if (x->bound_counted != COUNTED_NO)
        put_count(s, x->bound, " ports taken without a connection, ");
    strbuf_text(s, "in the last ");
    put_count(s, x->recent_s, "s this program made ");
    put_count(s, x->recent_connects, " connects there and left ");
    put_count(s, x->recent_time_waits, " TIME-WAITs");
}

static void put_repeats(struct strbuf *s, const struct event_exhausted *x) {
    if (x->repeats > 0) {
        strbuf_text(s, ", and ");
        strbuf_number(s, x->repeats);
        strbuf_text(s, " more like it since the last");
    }
}

/* " (EACCES)", " (errno 200)" */
static void put_error(struct strbuf *s, unsigned error) {
    const char *name = error_name(error);
    strbuf_text(s, " (");
    if (name)
        strbuf_text(s, name);
    else
        strbuf_text(s, "errno "), strbuf_number(s, error);
    strbuf_text(s, ")");
}

static void put_source_down(struct strbuf *s, const struct event_exhausted *x) {
    strbuf_text(s, event_name(NAMES_CAUSE, x->cause));
    put_error(s, x->error);
}

static void put_traced_connect(struct strbuf *s, const struct event_exhausted *x) {
    strbuf_text(s, event_name(NAMES_DECISION, x->outcome));
    if (x->error)
        put_error(s, x->error);
    strbuf_text(s, " by ");
    strbuf_text(s, event_name(NAMES_REASON, x->cause));
    strbuf_text(s, " after ");
    strbuf_number(s, x->attempts);
    strbuf_text(s, x->attempts == 1 ? " attempt in " : " attempts in ");
    put_duration(s, x->elapsed_us);
}

static void put_asked(struct strbuf *s, const struct event_exhausted *x) {
    unsigned sources = event_sources(x);
    for (unsigned i = 0; i < sources; i++) {
        strbuf_text(s, "\n    ");
        put_endpoint(s, &x->source[i].address, 0);
        strbuf_text(s, ": ");
        strbuf_text(s, event_name(NAMES_SAID, x->source[i].cause));
        if (x->source[i].error)
            put_error(s, x->source[i].error);
    }
}

static void put_pool(struct strbuf *s, const struct event_context *c) {
    if (c->pool[0]) {
        strbuf_text(s, ", pool ");
        strbuf_plain(s, c->pool, sizeof c->pool);
    }
}

static void put_trace(struct strbuf *s, const struct event_record *r, const struct event_context *c) {
    put_connection(s, &r->e);
    if (r->e.kind == EVENT_TRACE_CLOSE) {
        put_close(s, &r->e);
        strbuf_text(s, ": ");
        strbuf_text(s, event_name(NAMES_FATE, r->e.fate));
        strbuf_text(s, ", ");
        strbuf_plain(s, r->u.text, sizeof r->u.text);
    } else {
        put_traced_connect(s, &r->u.exhausted);
    }
    put_rule(s, &r->e, c);
    put_pool(s, c);
    if (r->e.kind == EVENT_TRACE_CONNECT)
        put_asked(s, &r->u.exhausted);
}

int event_text(const struct event_record *r, const struct event_context *context, char *out, size_t size) {
    struct strbuf s;
    strbuf_init(&s, out, size);
    put_head(&s, &r->e);
    switch (r->e.kind) {
    case EVENT_TIME_WAIT:
    case EVENT_CLOSE:
        put_connection(&s, &r->e);
        put_close(&s, &r->e);
        put_asked_for(&s, &r->u.asked);
        put_rule(&s, &r->e, context);
        break;
    case EVENT_TIME_WAIT_GONE:
        put_connection(&s, &r->e);
        put_gone(&s, &r->e);
        put_rule(&s, &r->e, context);
        break;
    case EVENT_EXHAUSTED:
        put_connection(&s, &r->e);
        put_exhausted(&s, &r->u.exhausted);
        put_rule(&s, &r->e, context);
        put_repeats(&s, &r->u.exhausted);
        put_exhausted_sources(&s, &r->u.exhausted);
        put_evidence(&s, &r->u.exhausted);
        break;
    case EVENT_SOURCE_DOWN:
        put_connection(&s, &r->e);
        put_source_down(&s, &r->u.exhausted);
        put_rule(&s, &r->e, context);
        break;
    case EVENT_TRACE_CONNECT:
    case EVENT_TRACE_CLOSE:
        put_trace(&s, r, context);
        break;
    case EVENT_ATTACH:
    case EVENT_DETACH:
    case EVENT_RELOAD:
    case EVENT_OVERRIDE:
    case EVENT_HOLDERS:
        strbuf_plain(&s, r->u.text, sizeof r->u.text);
        break;
    default:
        strbuf_text(&s, "(an event of another version)");
        break;
    }
    return strbuf_finish(&s);
}
