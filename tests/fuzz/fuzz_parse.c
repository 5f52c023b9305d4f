/* Any text as an address, source, target, port, duration and size: what is accepted is sound, and shows and reads the
 * same. */
#include <stdlib.h>
#include <string.h>

#include "text/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(const char *text) {
    struct addr a, again;
    char shown[ADDR_TEXT], endpoint[ENDPOINT_TEXT];
    if (parse_address(text, &a))
        return;
    format_address(shown, &a);
    format_endpoint(endpoint, &a, 65535);
    if (parse_address(shown, &again) || addr_compare(&a, &again) != 0)
        abort();
}

static void check_source(const char *text) {
    struct policy_source s;
    if (parse_source(text, &s))
        return;
    struct addr last = addr_add(&s.first, s.count - 1u);
    if (s.count == 0 || addr_compare(&s.first, &last) > 0 || addr_scope(&s.first) != addr_scope(&last))
        abort();
}

static void check_target(const char *text) {
    struct policy_target t;
    if (parse_target(text, &t))
        return;
    if (t.length > 128 || t.ports.low < 1 || t.ports.low > t.ports.high ||
        !addr_in_prefix(&t.prefix, &t.prefix, t.length))
        abort();
}

/* The prefixes of a range follow one another, and none lies in another. */
static void check_targets(const char *text) {
    struct policy_target t[TARGET_PREFIXES];
    unsigned count;
    if (parse_targets(text, t, TARGET_PREFIXES, &count))
        return;
    if (count < 1 || count > TARGET_PREFIXES)
        abort();
    for (unsigned i = 1; i < count; i++) {
        if (addr_compare(&t[i - 1].prefix, &t[i].prefix) >= 0 ||
            addr_in_prefix(&t[i].prefix, &t[i - 1].prefix, t[i - 1].length))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct port_range ports;
    uint32_t ms;
    uint64_t bytes;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    check_address(text);
    check_source(text);
    check_target(text);
    check_targets(text);
    if (!parse_ports(text, &ports) && (ports.low < 1 || ports.low > ports.high))
        abort();
    parse_duration(text, &ms);
    parse_size(text, &bytes);
    free(text);
    return 0;
}
