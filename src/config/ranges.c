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
    if (policy_source_has_steps(a) || policy_source_has_steps(b) || a->interface != b->interface ||
        addr_is_v4(&a->first) != addr_is_v4(&b->first) || !(touches(a, b) || touches(b, a)))
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

uint32_t sources_of_steps(uint32_t prefixes) {
    return prefixes < UINT32_MAX / STEP_SOURCES ? prefixes * STEP_SOURCES : UINT32_MAX;
}

static bool put(struct source_list *list, const struct policy_source *like, struct addr first, uint32_t count,
                uint32_t prefixes) {
    if (count == 0)
        return true;
    if (list->count == POOL_SOURCES)
        return false;
    struct policy_source *s = &list->range[list->count++];
    *s = *like;
    s->first = first;
    s->count = count;
    if (policy_source_has_steps(like))
        s->prefixes = prefixes;
    return true;
}

/* What is before and behind the prefix in a range that goes by /64. */
static enum removed remove_from_steps(struct source_list *out, const struct policy_source *s, const struct addr *prefix,
                                      unsigned length) {
    uint64_t begin = addr_upper(&s->first), end = begin + s->prefixes - 1, cut = addr_upper(prefix);
    if (length > 64 && cut >= begin && cut <= end)
        return REMOVED_CUTS_STEP;
    uint64_t cut_end = length >= 64 ? cut : length == 0 ? UINT64_MAX : cut | (UINT64_MAX >> length);
    if (length > 64 || cut > end || cut_end < begin)
        return put(out, s, s->first, s->count, s->prefixes) ? REMOVED : REMOVED_NO_ROOM;
    uint32_t before = cut > begin ? (uint32_t)(cut - begin) : 0;
    uint32_t behind = cut_end < end ? (uint32_t)(end - cut_end) : 0;
    struct addr after = addr_add_upper(&s->first, cut_end + 1 - begin);
    return put(out, s, s->first, sources_of_steps(before), before) &&
                   put(out, s, after, sources_of_steps(behind), behind)
               ? REMOVED
               : REMOVED_NO_ROOM;
}

static enum removed remove_from_range(struct source_list *out, const struct policy_source *s, const struct addr *prefix,
                                      unsigned length) {
    struct addr end = last_of(s), cut_end = addr_last(prefix, length);
    if (addr_compare(prefix, &end) > 0 || addr_compare(&cut_end, &s->first) < 0)
        return put(out, s, s->first, s->count, 0) ? REMOVED : REMOVED_NO_ROOM;
    uint32_t before = 0, behind = 0;
    if (addr_compare(prefix, &s->first) > 0)
        before = (uint32_t)addr_distance(&s->first, prefix);
    if (addr_compare(&cut_end, &end) < 0)
        behind = (uint32_t)addr_distance(&cut_end, &end);
    return put(out, s, s->first, before, 0) && put(out, s, addr_add(&cut_end, 1), behind, 0) ? REMOVED
                                                                                             : REMOVED_NO_ROOM;
}

enum removed sources_remove(struct source_list *list, const struct addr *prefix, unsigned length) {
    struct source_list left = {0};
    for (unsigned i = 0; i < list->count; i++) {
        const struct policy_source *s = &list->range[i];
        enum removed how = policy_source_has_steps(s) ? remove_from_steps(&left, s, prefix, length)
                                                      : remove_from_range(&left, s, prefix, length);
        if (how != REMOVED)
            return how;
    }
    *list = left;
    return REMOVED;
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
