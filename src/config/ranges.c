#include "config/ranges.h"

#include <stdio.h>
#include <string.h>

#include "config/reading.h"
#include "net/ports.h"

/* a + n - 1 for a range, saturating: ranges at the end of the address space must not wrap. */
static struct addr last_of(const struct policy_source *range) {
    return addr_add(&range->first, range->count - 1u);
}

/* Can b be counted on from a, without a gap and with a's first address before or at b's? */
static bool touches(const struct policy_source *a, const struct policy_source *b) {
    struct addr after = addr_add(&a->first, a->count);
    return addr_compare(&a->first, &b->first) <= 0 && addr_compare(&b->first, &after) <= 0;
}

/* How many addresses lie in first..last; UINT32_MAX if there are more. */
static uint32_t span(const struct addr *first, const struct addr *last) {
    uint64_t more = addr_distance(first, last);
    return more < UINT32_MAX ? (uint32_t)more + 1 : UINT32_MAX;
}

/* Extends a by b if they overlap or adjoin. */
static bool join(struct policy_source *a, const struct policy_source *b) {
    if (a->interface != b->interface || addr_is_v4(&a->first) != addr_is_v4(&b->first) ||
        !(touches(a, b) || touches(b, a)))
        return false;
    struct addr last_a = last_of(a), last_b = last_of(b);
    if (addr_compare(&last_b, &last_a) > 0)
        last_a = last_b;
    if (addr_compare(&b->first, &a->first) < 0)
        a->first = b->first;
    a->count = span(&a->first, &last_a);
    return true;
}

bool sources_add(struct source_list *list, const struct policy_source *source) {
    struct policy_source new = *source;
    unsigned at = list->count;
    /* What the new range joins takes the place of the first range that it touches. */
    for (unsigned i = 0; i < list->count;) {
        if (!join(&new, &list->range[i])) {
            i++;
            continue;
        }
        if (at > i)
            at = i;
        memmove(&list->range[i], &list->range[i + 1], (list->count - i - 1) * sizeof new);
        list->count--;
        if (at > list->count)
            at = list->count;
        i = 0; /* what has grown may touch what it did not before */
    }
    if (list->count == POOL_SOURCES)
        return false;
    memmove(&list->range[at + 1], &list->range[at], (list->count - at) * sizeof new);
    list->range[at] = new;
    list->count++;
    return true;
}

void ports_add(uint8_t bitmap[PORT_BITMAP], struct port_range range) {
    for (unsigned port = range.low; port <= range.high; port++)
        bitmap[port / 8] |= (uint8_t)(1 << port % 8);
}

void ports_remove(uint8_t bitmap[PORT_BITMAP], struct port_range range) {
    for (unsigned port = range.low; port <= range.high; port++)
        bitmap[port / 8] &= (uint8_t) ~(1 << port % 8);
}

static bool has_port(const uint8_t bitmap[PORT_BITMAP], unsigned port) {
    return bitmap[port / 8] >> port % 8 & 1;
}

unsigned ports_ranges(const uint8_t bitmap[PORT_BITMAP], struct port_range out[], unsigned max) {
    unsigned count = 0;
    for (unsigned port = 1; port <= 65535; port++) {
        if (!has_port(bitmap, port))
            continue;
        unsigned low = port;
        while (port < 65535 && has_port(bitmap, port + 1))
            port++;
        if (count < max)
            out[count] = (struct port_range){.low = (uint16_t)low, .high = (uint16_t)port};
        count++;
    }
    return count;
}

struct port_range ports_ephemeral(void) {
    struct port_range range = PORTS_DEFAULT;
    char line[32];
    FILE *file = fopen(PORTS_SYSCTL, "re");
    if (!file)
        return range;
    if (fgets(line, sizeof line, file))
        (void)ports_read_sysctl(line, &range);
    fclose(file);
    return range;
}
