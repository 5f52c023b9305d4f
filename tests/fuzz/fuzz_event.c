/* An event record of any bytes becomes one line of valid JSON, and text, within the room there is. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tool/events/format.h"
#include "tool/events/json.h"
#include "tool/events/text.h"

static void require(int condition) {
    if (!condition)
        abort();
}

static void require_json(const char *line, int length) {
    json_error_t error;
    /* Ints as reals: a number beyond 2^63 is a scribble's, valid JSON, and too large for jansson's integers. */
    size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    require(memchr(line, '\n', (size_t)length) == NULL);
    json_t *json = json_loadb(line, (size_t)length, flags, &error);
    require(json_is_object(json));
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    struct event_record r = {0};
    struct event_context context = {0};
    char line[EVENT_LINE_MAX];
    size_t of_record = length < sizeof r ? length : sizeof r, rest = length - of_record;
    memcpy(&r, data, of_record);
    memcpy(&context, data + of_record, rest < sizeof context ? rest : sizeof context);
    context.host[sizeof context.host - 1] = context.instance[sizeof context.instance - 1] = 0;
    context.rule[POLICY_TITLE - 1] = context.pool[POLICY_TITLE - 1] = 0;
    int n = event_json(&r, &context, line, sizeof line);
    require(n >= 0 && n < EVENT_LINE_MAX && line[n] == 0);
    require_json(line, n);
    n = event_text(&r, &context, line, sizeof line);
    require(n >= 0 && n < EVENT_LINE_MAX && line[n] == 0);
    /* Too small a buffer is said, not overrun. */
    size_t small = 1 + length % 700;
    char *exact = malloc(small);
    require(exact != NULL);
    require(event_json(&r, &context, exact, small) < (int)small);
    require(event_text(&r, &context, exact, small) < (int)small);
    free(exact);
    return 0;
}
