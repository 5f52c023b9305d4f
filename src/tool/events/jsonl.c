#include "tool/events/jsonl.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/time_text.h"
#include "tool/events/names.h"
#include "text/parse.h"
#include "tool/events/jsonl_close.h"
#include "tool/events/fields.h"
#include "tool/common/text_file.h"

/* So many zeros in a row may be a hole. */
enum { LINE_BYTES = 4 * EVENT_LINE_MAX, HOLE_BYTES = 1 << 16 };

/* Reading goes on after the first mistake, but only the first is kept. */
struct reading {
    const json_t *object;
    const uint8_t *kind; /* of the event: what it says comes before what depends on it */
    const char *wrong;
};

static void wrong(struct reading *in, const char *what) {
    in->wrong = in->wrong ? in->wrong : what;
}

static void number(struct reading *in, const struct event_field *f, const json_t *value, void *place) {
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 0 || (uint64_t)n > event_field_max(f))
        wrong(in, "a number is not one, or out of range");
    else
        event_field_store(f, place, (uint64_t)n);
}

/* Cut to size, NUL-padded. */
static void copy(const struct event_field *f, const char *text, char *place) {
    memcpy(place, text, strnlen(text, f->type == FIELD_TITLE ? f->size - 1u : f->size));
}

static void name(struct reading *in, const struct event_field *f, const char *text, void *place) {
    uint8_t value = 0;
    if (strcmp(text, "unknown") != 0 && !event_value(f->names, text, &value))
        wrong(in, "a word is not one that this version knows");
    event_field_store(f, place, value);
}

static void address(struct reading *in, const char *text, struct addr *place) {
    if (parse_address(text, place) != NULL)
        wrong(in, "an address is not one");
}

static uint64_t time_at(struct reading *in, const char *text) {
    uint64_t us = 0;
    if (!time_from_rfc3339(text, &us))
        wrong(in, "a time is not RFC 3339");
    return us;
}

static void ports(struct reading *in, const char *text, struct port_range *place) {
    if (strcmp(text, "ephemeral") != 0 && parse_ports(text, place) != NULL)
        wrong(in, "a port range is not one");
}

static uint16_t error(const char *text) {
    return text[0] >= '0' && text[0] <= '9' ? (uint16_t)strtoul(text, NULL, 10) : error_value(text);
}

/* What is a text in JSON. */
static void read_text(struct reading *in, const struct event_field *f, const char *text, void *place) {
    struct event *e = place;
    switch ((enum field_type)f->type) {
    case FIELD_NAME:
        name(in, f, text, place);
        break;
    case FIELD_TITLE:
    case FIELD_TEXT:
        copy(f, text, place);
        break;
    case FIELD_TIME:
        event_field_store(f, place, time_at(in, text));
        break;
    case FIELD_DECIDED:
        e->decided_before_ms = jsonl_before_ms(e->time_us, time_at(in, text));
        break;
    case FIELD_HEX:
        event_field_store(f, place, strtoull(text, NULL, 16));
        break;
    case FIELD_ADDRESS:
        address(in, text, place);
        break;
    case FIELD_PORTS:
        ports(in, text, place);
        break;
    case FIELD_ERROR:
        event_field_store(f, place, error(text));
        break;
    default:
        break;
    }
}

static void read_fields(struct reading *in, const struct event_fields *table, void *whole,
                        struct event_context *context);

static void read_list(struct reading *in, const struct event_field *f, const json_t *sources,
                      struct event_exhausted *x) {
    for (size_t i = 0; i < json_array_size(sources) && i < EXHAUSTED_SOURCES; i++) {
        struct reading one = {.object = json_array_get(sources, i), .kind = in->kind, .wrong = in->wrong};
        read_fields(&one, f->members, &x->source[i], NULL);
        in->wrong = one.wrong;
        x->n_sources++;
    }
}

/* They come after the sources, in the line as in the record. */
static void read_endpoints(struct reading *in, const struct event_field *f, const json_t *endpoints,
                           struct event_exhausted *x) {
    for (size_t i = 0; i < json_array_size(endpoints) && x->n_sources + x->n_endpoints < EXHAUSTED_SOURCES; i++) {
        struct exhausted_source *to = &x->source[x->n_sources + x->n_endpoints++];
        struct reading one = {.object = json_array_get(endpoints, i), .kind = in->kind, .wrong = in->wrong};
        read_fields(&one, f->members, to, NULL);
        to->ports.high = to->ports.low;
        in->wrong = one.wrong;
    }
}

static void read_members(struct reading *in, const struct event_field *f, const json_t *value, void *whole) {
    struct reading of = {.object = value, .kind = in->kind, .wrong = in->wrong};
    read_fields(&of, f->members, whole, NULL);
    in->wrong = of.wrong;
}

static void read_value(struct reading *in, const struct event_field *f, const json_t *value, char *whole, char *place) {
    switch ((enum field_type)f->type) {
    case FIELD_NUMBER:
        number(in, f, value, place);
        break;
    case FIELD_LITERAL:
        *place = json_is_true(value) ? VERIFIED_TRUE : json_is_false(value) ? VERIFIED_FALSE : VERIFIED_NULL;
        break;
    case FIELD_COMPLETE:
        *place = json_is_false(value) ? COUNTED_SAMPLE : COUNTED_ALL;
        break;
    case FIELD_OBJECT:
        read_members(in, f, value, whole);
        break;
    case FIELD_LIST:
        read_list(in, f, value, (struct event_exhausted *)place);
        break;
    case FIELD_ENDPOINTS:
        read_endpoints(in, f, value, &((struct event_record *)(void *)whole)->u.exhausted);
        break;
    case FIELD_OCCUPIED_BY:
        break;
    default:
        if (json_is_string(value))
            read_text(in, f, json_string_value(value), place);
        else
            wrong(in, "a text is not one");
        break;
    }
}

/* What is not there keeps zero. null, or an object that is none: not counted. */
static void read_fields(struct reading *in, const struct event_fields *table, void *whole,
                        struct event_context *context) {
    for (const struct event_field *f = table->field; f < table->field + table->n; f++) {
        char *bytes = f->of_context && context ? (char *)context : whole;
        const json_t *value = f->kinds & event_kind_bit(*in->kind) ? json_object_get(in->object, f->name) : NULL;
        if (!value || (f->counted && json_is_null(value)) || (f->type == FIELD_OBJECT && !json_is_object(value)))
            continue;
        if (f->counted)
            bytes[f->counted] = COUNTED_ALL;
        read_value(in, f, value, whole, bytes + f->offset);
    }
}

static void read_event(struct reading *in, struct event_record *r, struct event_context *context) {
    if (!json_object_get(in->object, "time") || !json_object_get(in->object, "event"))
        wrong(in, "no time or no event in it");
    in->kind = &r->e.kind;
    read_fields(in, &event_fields, r, context);
}

const char *jsonl_parse_any(const char *line, size_t length, struct event_record *r, struct event_context *context) {
    json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    struct reading in = {.object = object};
    memset(r, 0, sizeof *r);
    memset(context, 0, sizeof *context);
    if (json_is_object(object))
        read_event(&in, r, context);
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

bool jsonl_open_regular(struct jsonl *j, const char *name) {
    int fd = file_regular(name);
    *j = (struct jsonl){.file = fd < 0 ? NULL : fdopen(fd, "r")};
    if (!j->file && fd >= 0)
        (void)close(fd);
    return j->file != NULL;
}

/* A hole of a file is read as zeros, and may be as long as the file system allows. */
static void skip_hole(FILE *file) {
    off_t at = ftello(file), data = at < 0 ? -1 : lseek(fileno(file), at, SEEK_DATA);
    if (at < 0)
        return;
    if (data < 0 && errno == ENXIO)
        (void)fseeko(file, 0, SEEK_END);
    else if (data > at)
        (void)fseeko(file, data, SEEK_SET);
    else
        (void)fseeko(file, at, SEEK_SET); /* lseek has moved what the stream does not know of */
}

/* The rest of a line that is too long. */
static void skip_line(FILE *file) {
    int c;
    uint64_t zeros = 0;
    do {
        c = getc_unlocked(file);
        zeros = c == 0 ? zeros + 1 : 0;
        if (zeros > 0 && zeros % HOLE_BYTES == 0)
            skip_hole(file);
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
