/* Keys and their order are the contract (connspread(1), EVENTS): programs read this. */
#include <string.h>

#include "cli/event_format.h"
#include "cli/event_names.h"
#include "cli/occupied.h"
#include "cli/sink.h"
#include "net/parse.h"

/* The key comes with its punctuation, as in ",\"pid\":". */
static void number(struct sink *s, const char *key, uint64_t n) {
    sink_text(s, key);
    sink_number(s, n);
}

static void string(struct sink *s, const char *key, const char *text, size_t max) {
    sink_text(s, key);
    sink_json(s, text, max);
}

/* A word of ours: nothing in it needs an escape. */
static void word(struct sink *s, const char *key, const char *text) {
    sink_text(s, key);
    sink_bytes(s, "\"", 1);
    sink_text(s, text);
    sink_bytes(s, "\"", 1);
}

static void name(struct sink *s, const char *key, enum name_table table, unsigned value) {
    word(s, key, event_name(table, value));
}

static void address(struct sink *s, const char *key, const struct addr *a) {
    char text[ADDR_TEXT];
    format_address(text, a);
    word(s, key, text);
}

static void time_at(struct sink *s, const char *key, uint64_t us) {
    sink_text(s, key);
    sink_bytes(s, "\"", 1);
    sink_time(s, us);
    sink_bytes(s, "\"", 1);
}

static void put_head(struct sink *s, const struct event *e, const struct event_context *c) {
    time_at(s, "{\"time\":", e->time_us);
    sink_text(s, ",\"epoch\":\"");
    sink_hex16(s, c->epoch);
    number(s, "\",\"seq\":", e->seq);
    name(s, ",\"event\":", NAMES_KIND, e->kind);
    string(s, ",\"host\":", c->host, sizeof c->host);
    number(s, ",\"netns\":", e->netns);
    string(s, ",\"instance\":", c->instance, sizeof c->instance);
    name(s, ",\"arm\":", NAMES_ARM, e->arm);
    number(s, ",\"pid\":", e->pid);
    number(s, ",\"tid\":", e->tid);
    string(s, ",\"program\":", e->program, sizeof e->program);
}

static void put_connection(struct sink *s, const struct event *e, const struct event_context *c) {
    name(s, ",\"direction\":", NAMES_DIRECTION, e->direction);
    address(s, ",\"local_address\":", &e->local);
    number(s, ",\"local_port\":", e->local_port);
    address(s, ",\"peer_address\":", &e->peer);
    number(s, ",\"peer_port\":", e->peer_port);
    string(s, ",\"rule\":", c->rule, sizeof c->rule);
    string(s, ",\"pool\":", c->pool, sizeof c->pool);
    number(s, ",\"age_us\":", e->age_us);
}

static void put_close(struct sink *s, const struct event *e) {
    name(s, ",\"via\":", NAMES_VIA, e->via);
    name(s, ",\"state\":", NAMES_PHASE, e->phase);
    name(s, ",\"fate\":", NAMES_FATE, e->fate);
    name(s, ",\"decided_by\":", NAMES_DECIDED_BY, e->decided_by);
    time_at(s, ",\"decided_at\":", event_decided_us(e));
    sink_text(s, ",\"verified\":");
    sink_text(s, e->verified < VERIFIEDS ? event_name(NAMES_VERIFIED, e->verified) : "null");
}

/* null: not counted. complete false: an estimate, from some of the ports. */
static void put_kernel(struct sink *s, const struct exhausted_source *x) {
    if (x->counted == COUNTED_NO) {
        sink_text(s, ",\"kernel\":null");
        return;
    }
    number(s, ",\"kernel\":{\"established\":", x->kernel[KERNEL_ESTABLISHED]);
    number(s, ",\"time_wait\":", x->kernel[KERNEL_TIME_WAIT]);
    number(s, ",\"fin_wait\":", x->kernel[KERNEL_FIN_WAIT]);
    number(s, ",\"other\":", x->kernel[KERNEL_OTHER]);
    sink_text(s, x->counted == COUNTED_ALL ? ",\"complete\":true}" : ",\"complete\":false}");
}

static void put_source(struct sink *s, const struct exhausted_source *x) {
    address(s, "{\"address\":", &x->address);
    if (x->ports.low == 0 && x->ports.high == 0) {
        sink_text(s, ",\"ports\":\"ephemeral\"");
    } else {
        number(s, ",\"ports\":\"", x->ports.low);
        number(s, "-", x->ports.high);
        sink_bytes(s, "\"", 1);
    }
    name(s, ",\"cause\":", NAMES_CAUSE, x->cause);
    number(s, ",\"open\":", x->open);
    number(s, ",\"time_wait\":", x->time_wait);
    put_kernel(s, x);
    sink_bytes(s, "}", 1);
}

static void put_evidence(struct sink *s, const struct event_exhausted *x) {
    name(s, ",\"proof\":", NAMES_PROOF, x->proof);
    name(s, ",\"occupied_by\":", NAMES_OCCUPIED, occupied_by(x));
    number(s, ",\"capacity\":", x->capacity);
    number(s, ",\"reserved_ports\":", x->reserved);
    sink_text(s, ",\"bound_ports\":");
    if (x->bound_counted == COUNTED_NO)
        sink_text(s, "null");
    else
        sink_number(s, x->bound);
    number(s, ",\"recent\":{\"seconds\":", x->recent_s);
    number(s, ",\"connects\":", x->recent_connects);
    number(s, ",\"time_waits\":", x->recent_time_waits);
    sink_bytes(s, "}", 1);
}

static void put_exhausted(struct sink *s, const struct event_exhausted *x) {
    unsigned sources = event_sources(x);
    name(s, ",\"call\":", NAMES_CALL, x->call);
    name(s, ",\"cause\":", NAMES_CAUSE, x->cause);
    name(s, ",\"outcome\":", NAMES_OUTCOME, x->outcome);
    number(s, ",\"attempts\":", x->attempts);
    number(s, ",\"elapsed_us\":", x->elapsed_us);
    if (x->repeats > 0)
        number(s, ",\"repeats\":", x->repeats);
    sink_text(s, ",\"sources\":[");
    for (unsigned i = 0; i < sources; i++) {
        if (i)
            sink_bytes(s, ",", 1);
        put_source(s, &x->source[i]);
    }
    sink_bytes(s, "]", 1);
    if (x->omitted > 0)
        number(s, ",\"sources_omitted\":", x->omitted);
    put_evidence(s, x);
}

static void put_source_down(struct sink *s, const struct event_exhausted *x) {
    const char *error = error_name(x->error);
    name(s, ",\"cause\":", NAMES_CAUSE, x->cause);
    if (error)
        word(s, ",\"error\":", error);
    else
        number(s, ",\"error\":\"", x->error), sink_bytes(s, "\"", 1);
}

int event_json(const struct event_record *r, const struct event_context *context, char *out, size_t size) {
    struct sink s;
    sink_init(&s, out, size);
    put_head(&s, &r->e, context);
    switch (r->e.kind) {
    case EVENT_TIME_WAIT:
    case EVENT_CLOSE:
        put_connection(&s, &r->e, context);
        put_close(&s, &r->e);
        break;
    case EVENT_EXHAUSTED:
        put_connection(&s, &r->e, context);
        put_exhausted(&s, &r->u.exhausted);
        break;
    case EVENT_SOURCE_DOWN:
        put_connection(&s, &r->e, context);
        put_source_down(&s, &r->u.exhausted);
        break;
    case EVENT_ATTACH:
    case EVENT_DETACH:
    case EVENT_RELOAD:
    case EVENT_CONTROL:
        string(&s, ",\"text\":", r->u.text, sizeof r->u.text);
        break;
    default: /* of a newer version, or damaged: its head is all that can be said */
        break;
    }
    sink_bytes(&s, "}", 1);
    return sink_finish(&s);
}
