#include "tool/events/jsonl.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tool/common/time_text.h"
#include "tool/events/names.h"
#include "text/parse.h"
#include "tool/events/jsonl_close.h"

enum { LINE_BYTES = 4 * EVENT_LINE_MAX };

/* Reading goes on after the first mistake, but only the first is kept. */
struct reading {
    const json_t *object;
    const char *wrong;
};

static uint64_t number(struct reading *in, const char *key, uint64_t max) {
    const json_t *value = json_object_get(in->object, key);
    if (!value)
        return 0;
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || (uint64_t)n > max) {
        in->wrong = in->wrong ? in->wrong : "a number is not one, or out of range";
        return 0;
    }
    return (uint64_t)n;
}

static const char *text(struct reading *in, const char *key) {
    const json_t *value = json_object_get(in->object, key);
    if (!value)
        return NULL;
    if (!json_is_string(value))
        in->wrong = in->wrong ? in->wrong : "a text is not one";
    return json_string_value(value);
}

/* Cut to size, NUL-padded. A program's name may fill its field to the last byte. */
static void copy(struct reading *in, const char *key, char *out, size_t size, bool terminated) {
    const char *value = text(in, key);
    if (value)
        memcpy(out, value, strnlen(value, terminated ? size - 1 : size));
}

static uint8_t name(struct reading *in, const char *key, enum name_table table) {
    uint8_t value = 0;
    const char *word = text(in, key);
    if (word && strcmp(word, "unknown") != 0 && !event_value(table, word, &value))
        in->wrong = in->wrong ? in->wrong : "a word is not one that this version knows";
    return value;
}

static struct addr address(struct reading *in, const char *key) {
    struct addr a = {0};
    const char *value = text(in, key);
    if (value && parse_address(value, &a) != NULL)
        in->wrong = in->wrong ? in->wrong : "an address is not one";
    return a;
}

static uint64_t time_at(struct reading *in, const char *key) {
    uint64_t us = 0;
    const char *value = text(in, key);
    if (value && !time_from_rfc3339(value, &us))
        in->wrong = in->wrong ? in->wrong : "a time is not RFC 3339";
    return us;
}

static void take_head(struct reading *in, struct event *e, struct event_context *c) {
    const char *epoch = text(in, "epoch");
    if (!json_object_get(in->object, "time") || !json_object_get(in->object, "event"))
        in->wrong = "no time or no event in it";
    if (epoch)
        c->epoch = strtoull(epoch, NULL, 16);
    e->time_us = time_at(in, "time");
    e->seq = number(in, "seq", UINT64_MAX);
    e->kind = name(in, "event", NAMES_KIND);
    e->netns = number(in, "netns", UINT64_MAX);
    e->arm = name(in, "arm", NAMES_ARM);
    e->pid = (uint32_t)number(in, "pid", UINT32_MAX);
    e->tid = (uint32_t)number(in, "tid", UINT32_MAX);
    copy(in, "host", c->host, sizeof c->host, true);
    copy(in, "instance", c->instance, sizeof c->instance, true);
    copy(in, "program", e->program, sizeof e->program, false);
}

static void take_connection(struct reading *in, struct event *e, struct event_context *c) {
    e->direction = name(in, "direction", NAMES_DIRECTION);
    e->local = address(in, "local_address");
    e->peer = address(in, "peer_address");
    e->local_port = (uint16_t)number(in, "local_port", UINT16_MAX);
    e->peer_port = (uint16_t)number(in, "peer_port", UINT16_MAX);
    e->age_us = number(in, "age_us", UINT64_MAX);
    copy(in, "rule", c->rule, sizeof c->rule, true);
    copy(in, "pool", c->pool, sizeof c->pool, true);
}

static void take_close(struct reading *in, struct event *e) {
    const json_t *verified = json_object_get(in->object, "verified");
    e->via = name(in, "via", NAMES_VIA);
    e->phase = name(in, "state", NAMES_PHASE);
    e->fate = name(in, "fate", NAMES_FATE);
    e->decided_by = name(in, "decided_by", NAMES_DECIDED_BY);
    e->decided_before_ms = jsonl_before_ms(e->time_us, time_at(in, "decided_at"));
    e->verified = json_is_true(verified) ? VERIFIED_TRUE : json_is_false(verified) ? VERIFIED_FALSE : VERIFIED_NULL;
}

/* null, or nothing from before it existed: not counted. */
static void take_kernel(struct reading *in, struct exhausted_source *x) {
    struct reading kernel = {.object = json_object_get(in->object, "kernel")};
    if (!json_is_object(kernel.object))
        return;
    x->kernel[KERNEL_ESTABLISHED] = (uint16_t)number(&kernel, "established", UINT16_MAX);
    x->kernel[KERNEL_TIME_WAIT] = (uint16_t)number(&kernel, "time_wait", UINT16_MAX);
    x->kernel[KERNEL_FIN_WAIT] = (uint16_t)number(&kernel, "fin_wait", UINT16_MAX);
    x->kernel[KERNEL_OTHER] = (uint16_t)number(&kernel, "other", UINT16_MAX);
    x->counted = json_is_false(json_object_get(kernel.object, "complete")) ? COUNTED_SAMPLE : COUNTED_ALL;
    in->wrong = in->wrong ? in->wrong : kernel.wrong;
}

static void take_source(struct reading *in, struct exhausted_source *x) {
    const char *ports = text(in, "ports");
    x->address = address(in, "address");
    if (ports && strcmp(ports, "ephemeral") != 0 && parse_ports(ports, &x->ports) != NULL)
        in->wrong = in->wrong ? in->wrong : "a port range is not one";
    x->cause = name(in, "cause", NAMES_CAUSE);
    x->open = (uint32_t)number(in, "open", UINT32_MAX);
    x->time_wait = (uint32_t)number(in, "time_wait", UINT32_MAX);
    take_kernel(in, x);
}

static void take_evidence(struct reading *in, struct event_exhausted *x) {
    struct reading recent = {.object = json_object_get(in->object, "recent")};
    x->proof = name(in, "proof", NAMES_PROOF);
    x->capacity = (uint16_t)number(in, "capacity", UINT16_MAX);
    x->reserved = (uint16_t)number(in, "reserved_ports", UINT16_MAX);
    if (!json_is_null(json_object_get(in->object, "bound_ports"))) {
        x->bound = (uint16_t)number(in, "bound_ports", UINT16_MAX);
        x->bound_counted = json_object_get(in->object, "bound_ports") ? COUNTED_ALL : COUNTED_NO;
    }
    x->recent_s = (uint16_t)number(&recent, "seconds", UINT16_MAX);
    x->recent_connects = (uint32_t)number(&recent, "connects", UINT32_MAX);
    x->recent_time_waits = (uint32_t)number(&recent, "time_waits", UINT32_MAX);
    in->wrong = in->wrong ? in->wrong : recent.wrong;
}

static void take_exhausted(struct reading *in, struct event_exhausted *x) {
    const json_t *sources = json_object_get(in->object, "sources");
    size_t n = json_array_size(sources);
    x->call = name(in, "call", NAMES_CALL);
    x->cause = name(in, "cause", NAMES_CAUSE);
    x->outcome = name(in, "outcome", NAMES_OUTCOME);
    x->attempts = (uint16_t)number(in, "attempts", UINT16_MAX);
    x->elapsed_us = number(in, "elapsed_us", UINT64_MAX);
    x->repeats = (uint32_t)number(in, "repeats", UINT32_MAX);
    x->omitted = (uint16_t)number(in, "sources_omitted", UINT16_MAX);
    for (size_t i = 0; i < n && i < EXHAUSTED_SOURCES; i++) {
        struct reading one = {.object = json_array_get(sources, i)};
        take_source(&one, &x->source[i]);
        in->wrong = in->wrong ? in->wrong : one.wrong;
        x->n_sources++;
    }
    take_evidence(in, x);
}

static void take_source_down(struct reading *in, struct event_exhausted *x) {
    const char *error = text(in, "error");
    x->cause = name(in, "cause", NAMES_CAUSE);
    if (error && error[0] >= '0' && error[0] <= '9')
        x->error = (uint16_t)strtoul(error, NULL, 10);
    else if (error)
        x->error = error_value(error);
}

static void take_event(struct reading *in, struct event_record *r, struct event_context *context) {
    take_head(in, &r->e, context);
    switch (r->e.kind) {
    case EVENT_TIME_WAIT:
    case EVENT_CLOSE:
        take_connection(in, &r->e, context);
        take_close(in, &r->e);
        break;
    case EVENT_EXHAUSTED:
        take_connection(in, &r->e, context);
        take_exhausted(in, &r->u.exhausted);
        break;
    case EVENT_SOURCE_DOWN:
        take_connection(in, &r->e, context);
        take_source_down(in, &r->u.exhausted);
        break;
    default:
        copy(in, "text", r->u.text, sizeof r->u.text, false);
        break;
    }
}

const char *jsonl_parse_any(const char *line, size_t length, struct event_record *r, struct event_context *context) {
    json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    struct reading in = {.object = object};
    memset(r, 0, sizeof *r);
    memset(context, 0, sizeof *context);
    if (json_is_object(object))
        take_event(&in, r, context);
    else
        in.wrong = "not a JSON object";
    json_decref(object);
    return in.wrong;
}

const char *jsonl_parse(const char *line, size_t length, struct event_record *r, struct event_context *context) {
    return jsonl_parse_close(line, length, r, context) ? NULL : jsonl_parse_any(line, length, r, context);
}

bool jsonl_open(struct jsonl *j, const char *name) {
    *j = (struct jsonl){.file = strcmp(name, "-") == 0 ? stdin : fopen(name, "re")};
    return j->file != NULL;
}

/* The rest of a line that is too long. */
static void skip_line(FILE *file) {
    int c;
    do {
        c = getc_unlocked(file);
    } while (c != EOF && c != '\n');
}

enum jsonl_result jsonl_next(struct jsonl *j) {
    if (!j->buffer)
        j->buffer = malloc(LINE_BYTES);
    if (!j->buffer)
        return JSONL_ERROR;
    size_t n = 0;
    int c = EOF;
    while (n < LINE_BYTES && (c = getc_unlocked(j->file)) != EOF && c != '\n')
        j->buffer[n++] = (char)c;
    if (ferror(j->file))
        return JSONL_ERROR;
    if (c == EOF && n == 0)
        return JSONL_END;
    j->number++;
    j->line = j->buffer;
    j->length = n;
    if (n < LINE_BYTES)
        return JSONL_LINE;
    skip_line(j->file);
    return JSONL_TOO_LONG;
}

void jsonl_close(struct jsonl *j) {
    if (j->file && j->file != stdin)
        (void)fclose(j->file);
    free(j->buffer);
    *j = (struct jsonl){0};
}
