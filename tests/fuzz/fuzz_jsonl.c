/* Any bytes as a file of JSON Lines: each line is an event or is refused, and an event can be written again, and again
 * the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/events/jsonl.h"
#include "tool/events/json.h"
#include "tool/events/text.h"
#include "tool/events/jsonl_close.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int truth) {
    if (!truth)
        abort();
}

/* Of a close written as we write it there are two readers. */
static void two_readers(const char *line, size_t length) {
    struct event_record r, other;
    struct event_context c, c_other;
    if (!jsonl_parse_close(line, length, &r, &c))
        return;
    expect(jsonl_parse_any(line, length, &other, &c_other) == NULL);
    expect(memcmp(&r, &other, sizeof r) == 0 && memcmp(&c, &c_other, sizeof c) == 0);
}

static void one_line(const char *line, size_t length) {
    struct event_record r, back;
    struct event_context c, c_back;
    char written[EVENT_LINE_MAX], again[EVENT_LINE_MAX], text[EVENT_LINE_MAX];
    two_readers(line, length);
    if (jsonl_parse(line, length, &r, &c) != NULL)
        return;
    int n = event_json(&r, &c, written, sizeof written);
    expect(n > 0 && memchr(written, '\n', (size_t)n) == NULL);
    expect(event_text(&r, &c, text, sizeof text) > 0);
    expect(jsonl_parse(written, (size_t)n, &back, &c_back) == NULL);
    expect(event_json(&back, &c_back, again, sizeof again) == n);
    expect(memcmp(written, again, (size_t)n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum jsonl_result result;
    if (size == 0)
        return 0;
    struct jsonl j = {.file = fmemopen((void *)(uintptr_t)data, size, "r")};
    expect(j.file != NULL);
    while ((result = jsonl_next(&j)) == JSONL_LINE || result == JSONL_TOO_LONG)
        one_line(j.line, j.length);
    jsonl_close(&j);
    return 0;
}
