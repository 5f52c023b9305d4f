#include "tool/report/json.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "tool/events/names.h"
#include "tool/report/model.h"
#include "tool/report/find.h"
#include "tool/report/fleet_print.h"
#include "tool/report/words.h"
#include "tool/report/advice.h"
#include "tool/common/strbuf.h"
#include "tool/report/causes.h"

enum { TOP = 1000, ROWS = 288 };

/* Untrusted text: what is not UTF-8 becomes '?'. */
static json_t *text_of(const char *untrusted) {
    char text[REPORT_WORDS];
    struct strbuf s;
    strbuf_init(&s, text, sizeof text);
    strbuf_plain(&s, untrusted, sizeof text - 1);
    (void)strbuf_finish(&s);
    return json_string(text);
}

static json_t *time_of(uint64_t us) {
    char text[32];
    struct strbuf s;
    strbuf_init(&s, text, sizeof text);
    strbuf_time(&s, us);
    (void)strbuf_finish(&s);
    return json_string(text);
}

static json_t *number(uint64_t n) {
    return json_integer((json_int_t)(n < INT64_MAX ? n : INT64_MAX));
}

static json_t *address_of(const struct addr *a) {
    char text[ADDR_TEXT];
    format_address(text, a);
    return json_string(text);
}

/* null for none. */
static json_t *endpoint_of(const struct addr *a, uint16_t port) {
    char text[ENDPOINT_TEXT];
    if (addr_is_any(a) && port == 0)
        return json_null();
    format_endpoint(text, a, port);
    return json_string(text);
}

static void put(json_t *object, const char *key, json_t *value) {
    (void)json_object_set_new(object, key, value); /* what no memory was left for shows at the end */
}

static void append(json_t *array, json_t *value) {
    (void)json_array_append_new(array, value);
}

static json_t *program_of(const char program[EVENT_PROGRAM]) {
    char text[EVENT_PROGRAM + 1];
    program_text(text, program);
    return text_of(text);
}

static json_t *tally_of(const struct totals *t, const char *key, const char *only) {
    json_t *array = json_array();
    if (t->top[0].n == 0 && only[0]) { /* known from elsewhere */
        json_t *one = json_object();
        put(one, key, text_of(only));
        put(one, "count", json_null());
        append(array, one);
    }
    for (unsigned i = 0; i < REPORT_NAMES && t->top[i].n; i++) {
        json_t *one = json_object();
        put(one, key, text_of(t->top[i].name));
        put(one, "count", number(t->top[i].n));
        append(array, one);
    }
    return array;
}

/* Of the client's own choice. */
static json_t *ports_of(const struct incident *i) {
    char text[16];
    if (i->highest == 0)
        return json_null();
    snprintf(text, sizeof text, "%u-%u", (unsigned)i->lowest, (unsigned)i->highest);
    return json_string(text);
}

static json_t *shares_of(const struct finding *f) {
    json_t *array = json_array();
    for (unsigned i = 0; i < f->conclusion.n_shares; i++) {
        const struct share *share = &f->conclusion.share[i];
        const char *program = causes_program(f, share->kind);
        json_t *one = json_object();
        put(one, "kind", json_string(conclusion_name(share->kind)));
        put(one, "percent", number(share->percent));
        put(one, "quadruplets", number(share->quadruplets));
        put(one, "program", program[0] ? text_of(program) : json_null());
        append(array, one);
    }
    if (f->conclusion.n_shares == 0) { /* what is no matter of a range is one thing */
        json_t *one = json_object();
        put(one, "kind", json_string(conclusion_name(f->conclusion.kind)));
        put(one, "percent", number(100));
        put(one, "quadruplets", json_null());
        put(one, "program", json_null());
        append(array, one);
    }
    return array;
}

static json_t *numbers_of(const struct finding *f) {
    const struct evidence *e = &f->evidence;
    const struct conclusion *c = &f->conclusion;
    static const char *const from[] = {
        [PORTS_BY_EVENT] = "event", [PORTS_OF_THIS_HOST] = "this-host", [PORTS_ASSUMED] = "assumed"};
    json_t *o = json_object();
    put(o, "ports", number(e->ports));
    put(o, "ports_from", json_string(from[e->ports_from]));
    put(o, "sources", number(e->sources));
    put(o, "capacity", number(c->capacity));
    put(o, "open", number(e->open));
    put(o, "time_wait", number(e->waits));
    static const char *const group[KERNEL_GROUPS] = {
        [KERNEL_ESTABLISHED] = "kernel_established",
        [KERNEL_TIME_WAIT] = "kernel_time_wait",
        [KERNEL_FIN_WAIT] = "kernel_fin_wait",
        [KERNEL_CLOSE_WAIT] = "kernel_close_wait",
        [KERNEL_OTHER] = "kernel_other",
    };
    for (unsigned i = 0; i < KERNEL_GROUPS; i++)
        put(o, group[i], e->counted ? number(e->kernel[i]) : json_null());
    put(o, "reserved_ports", number(e->reserved));
    put(o, "wanted_per_second", json_real(c->wanted));
    put(o, "sustained_per_second", json_real(c->sustained));
    put(o, "sources_needed", number(c->sources_needed));
    put(o, "destinations_needed", number(c->targets_needed));
    return o;
}

static json_t *minutes_of(const struct incident *incident) {
    json_t *array = json_array();
    const struct moment *m = &incident->first;
    for (unsigned i = 0; i < WINDOW_MINUTES; i++) {
        json_t *one = json_object();
        put(one, "minute", time_of((m->time_us / 60000000 - (WINDOW_MINUTES - 1 - i)) * 60000000));
        put(one, "time_wait", number(moment_waits(incident, i)));
        put(one, "connects", number(incident->history.connects[i]));
        append(array, one);
    }
    return array;
}

static json_t *finding_of(const struct finding *f) {
    char text[REPORT_WORDS];
    const struct incident *i = f->incident;
    json_t *o = json_object(), *because = json_array(), *remedies = json_array();
    put(o, "kind", json_string(conclusion_name(f->conclusion.kind)));
    put(o, "shares", shares_of(f));
    put(o, "cause", json_string(event_name(NAMES_CAUSE, i->key.cause)));
    put(o, "host", text_of(f->host));
    put(o, "failed", number(f->failed));
    put(o, "fallback", number(i->fallback));
    put(o, "recovered", number(i->recovered));
    put(o, "first", time_of(f->first_us));
    put(o, "last", time_of(f->last_us));
    put(o, "programs", tally_of(&i->programs, "program", f->program));
    put(o, "destinations", tally_of(&i->destinations, "destination", f->destination));
    put(o, "source", f->source[0] ? json_string(f->source) : json_null());
    put(o, "local_ports", ports_of(i));
    put(o, "culprit", f->culprit[0] ? text_of(f->culprit) : json_null());
    words_summary(text, f);
    put(o, "summary", text_of(text));
    for (unsigned n = 0; n < REPORT_BECAUSE; n++)
        if (words_because(text, f, n))
            append(because, text_of(text));
    put(o, "because", because);
    put(o, "numbers", numbers_of(f));
    put(o, "minutes_before", minutes_of(i));
    for (unsigned n = 0; n < f->conclusion.n_remedies; n++) {
        json_t *one = json_object();
        words_remedy(text, f, f->conclusion.remedy[n]);
        put(one, "id", json_string(remedy_name(f->conclusion.remedy[n])));
        put(one, "text", text_of(text));
        append(remedies, one);
    }
    put(o, "remedies", remedies);
    return o;
}

static json_t *first_failure_of(const struct facts *f) {
    if (!f->first_failure.is)
        return json_null();
    json_t *o = json_object();
    put(o, "time", time_of(f->first_failure.time_us));
    put(o, "host", text_of(f->host[f->first_failure.host % REPORT_HOSTS].name));
    put(o, "pid", number(f->first_failure.pid));
    put(o, "program", program_of(f->first_failure.program));
    put(o, "call", json_string(event_name(NAMES_CALL, f->first_failure.call)));
    put(o, "cause", json_string(event_name(NAMES_CAUSE, f->first_failure.cause)));
    put(o, "destination", endpoint_of(&f->first_failure.peer, f->first_failure.peer_port));
    return o;
}

static json_t *timeline_of(const struct report *r) {
    static struct timeline rows;
    json_t *o = json_object(), *array = json_array();
    timeline_rows(&r->facts.timeline, &rows, ROWS, report_row_us(r));
    for (size_t i = 0; i < rows.n; i++) {
        const struct timeline_bucket *b = &rows.bucket[i];
        json_t *one = json_object();
        put(one, "time", time_of(rows.start_us + i * rows.width_us));
        put(one, "failed", number(bucket_failed(b)));
        put(one, "recovered", number(bucket_recovered(b)));
        put(one, "time_wait", number(bucket_waits(b)));
        put(one, "connects", number(b->history.connects));
        put(one, "fullest_source", b->fullest ? number(b->fullest) : json_null());
        append(array, one);
    }
    put(o, "seconds", number(rows.width_us / 1000000));
    put(o, "rows", array);
    return o;
}

enum { FLOW_COUNTS = 6 };
static const char *const flow_counts[FLOW_COUNTS] = {"time_wait", "otherwise", "failed",
                                                     "fallback",  "recovered", "connects"};

static void count_flow(const struct flow *f, uint64_t out[FLOW_COUNTS]) {
    const uint64_t counts[FLOW_COUNTS] = {flow_waits(f),
                                          flow_otherwise(f),
                                          flow_failed(f),
                                          larger(f->fallback, f->history.fallback),
                                          larger(f->recovered, f->history.recovered),
                                          f->history.connects};
    for (unsigned i = 0; i < FLOW_COUNTS; i++)
        out[i] += counts[i];
}

static void put_counts(json_t *o, const uint64_t counts[FLOW_COUNTS]) {
    for (unsigned i = 0; i < FLOW_COUNTS; i++)
        put(o, flow_counts[i], number(counts[i]));
}

static int compare_flows(const void *left, const void *right) {
    const struct flow *a = left, *b = right;
    uint64_t x = flow_waits(a) + flow_failed(a), y = flow_waits(b) + flow_failed(b);
    return x > y ? -1 : x < y;
}

static json_t *flow_of(const struct facts *f, const struct flow *flow) {
    bool outbound = flow->key.direction == OUTBOUND;
    uint64_t counts[FLOW_COUNTS] = {0};
    json_t *o = json_object();
    put(o, "host", text_of(f->host[flow->key.to.host % REPORT_HOSTS].name));
    put(o, "program", program_of(flow->key.program));
    put(o, "direction", json_string(event_name(NAMES_DIRECTION, flow->key.direction)));
    put(o, "destination", outbound ? endpoint_of(&flow->key.to.peer, flow->key.to.port) : json_null());
    put(o, "port", number(flow->key.to.port));
    count_flow(flow, counts);
    put_counts(o, counts);
    put(o, "first", time_of(flow->first_us));
    put(o, "last", time_of(flow->last_us));
    return o;
}

/* The busiest, and the sums of all others, so that nothing is missing. */
static void put_flows(json_t *report, const struct facts *f) {
    static const void *top[TOP];
    uint64_t all[FLOW_COUNTS] = {0}, listed[FLOW_COUNTS] = {0};
    json_t *array = json_array(), *rest = json_object();
    size_t n = report_table_top(&f->flows, top, TOP, compare_flows), at = 0;
    const struct flow *flow;
    for (size_t i = 0; i < n; i++) {
        append(array, flow_of(f, top[i]));
        count_flow(top[i], listed);
    }
    while ((flow = report_table_next(&f->flows, &at)))
        count_flow(flow, all);
    count_flow(report_table_rest(&f->flows), all);
    for (unsigned i = 0; i < FLOW_COUNTS; i++)
        all[i] -= listed[i];
    put_counts(rest, all);
    put(report, "closed_first", array);
    put(report, "closed_first_rest", rest);
}

static int compare_routes(const void *left, const void *right) {
    const struct route *a = left, *b = right;
    return route_waits(a) > route_waits(b) ? -1 : route_waits(a) < route_waits(b);
}

static json_t *routes_of(const struct report *r) {
    static const void *top[TOP];
    json_t *array = json_array();
    size_t n = report_table_top(&r->facts.routes, top, TOP, compare_routes);
    for (size_t i = 0; i < n; i++) {
        const struct route *route = top[i];
        enum ports_from from;
        json_t *o = json_object();
        put(o, "host", text_of(r->facts.host[route->key.to.host % REPORT_HOSTS].name));
        put(o, "source", address_of(&route->key.source));
        put(o, "destination", endpoint_of(&route->key.to.peer, route->key.to.port));
        put(o, "time_wait", number(route_waits(route)));
        put(o, "peak", number(route_peak(route)));
        put(o, "ports", number(route_ports(route, report_ports(r, &route->key.to, &from))));
        put(o, "found_full", number(route->full));
        append(array, o);
    }
    return array;
}

static json_t *connect_time_of(const struct report *r) {
    static const unsigned below[REPORT_CLASSES] = {25, 50, 75, 90, 100};
    json_t *array = json_array();
    for (unsigned i = 0; i < REPORT_CLASSES; i++) {
        json_t *o = json_object();
        put(o, "up_to_percent", number(below[i]));
        put(o, "connects", number(r->by_occupancy[i].connects));
        put(o, "seconds", json_real((double)r->by_occupancy[i].connect_us / 1e6));
        append(array, o);
    }
    return array;
}

static json_t *inputs_of(const struct report_inputs *in) {
    json_t *array = json_array();
    for (unsigned i = 0; i < in->n; i++) {
        const struct report_input *one = &in->input[i];
        json_t *o = json_object(), *lines = json_array();
        put(o, "name", text_of(one->name));
        put(o, "kind", json_string(one->is_state ? "state" : "json-lines"));
        put(o, "events", number(one->events));
        put(o, "damaged", number(one->damage.count));
        for (unsigned n = 0; n < DAMAGE_LINES && n < one->damage.count; n++)
            append(lines, number(one->damage.line[n]));
        put(o, "damaged_lines", lines);
        put(o, "incomplete", json_boolean(input_incomplete(one)));
        append(array, o);
    }
    return array;
}

static json_t *hosts_of(const struct facts *f) {
    json_t *array = json_array();
    for (unsigned i = 0; i < f->n_hosts; i++)
        append(array, text_of(f->host[i].name));
    return array;
}

bool report_print_json(const struct report *r) {
    const struct facts *f = &r->facts;
    json_t *o = json_object(), *findings = json_array();
    put(o, "from", f->first_us ? time_of(f->first_us) : json_null());
    put(o, "to", f->first_us ? time_of(f->last_us) : json_null());
    put(o, "events", number(f->events));
    put(o, "hosts", hosts_of(f));
    put(o, "incomplete", json_boolean(!r->good));
    put(o, "failed", number(report_failed(r)));
    put(o, "fallback", number(larger(f->fallback, f->history.fallback)));
    put(o, "recovered", number(larger(f->recovered, f->history.recovered)));
    put(o, "first_failure", first_failure_of(f));
    for (unsigned i = 0; i < r->n_findings; i++)
        append(findings, finding_of(&r->finding[i]));
    put(o, "conclusions", findings);
    put(o, "timeline", timeline_of(r));
    put_flows(o, f);
    put(o, "sources", routes_of(r));
    put(o, "connect_time", connect_time_of(r));
    put(o, "inputs", inputs_of(&r->inputs));
    put(o, "fleet", fleet_json(r));
    bool good = o && json_dumpf(o, stdout, JSON_COMPACT) == 0;
    json_decref(o);
    putchar('\n');
    return good;
}
