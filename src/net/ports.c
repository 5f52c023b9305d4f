#include "net/ports.h"

#include <stddef.h>

static void outside(struct port_split *s, unsigned low, unsigned high) {
    if (low > high || s->n_outside >= sizeof s->outside / sizeof s->outside[0])
        return;
    s->outside[s->n_outside++] = (struct port_range){(uint16_t)low, (uint16_t)high};
    s->outside_total += high - low + 1;
}

void ports_split(struct port_split *out, const struct port_range *ranges, unsigned n, struct port_range host) {
    out->n_inside = out->n_outside = 0;
    out->outside_total = 0;
    for (unsigned i = 0; i < n && i < PORT_RANGES; i++) {
        unsigned low = ranges[i].low, high = ranges[i].high;
        unsigned from = low > host.low ? low : host.low, to = high < host.high ? high : host.high;
        if (low == 0 || low > high)
            continue; /* no range: never from our own config */
        if (from > to) {
            outside(out, low, high);
            continue;
        }
        out->inside[out->n_inside++] = (struct port_range){(uint16_t)from, (uint16_t)to};
        if (low < from)
            outside(out, low, from - 1);
        if (high > to)
            outside(out, to + 1, high);
    }
}

static uint32_t size_of(struct port_range range) {
    return range.high >= range.low ? (uint32_t)range.high - range.low + 1 : 0;
}

/* *i counts on where the port is not in these ranges. */
static uint16_t nth(const struct port_range *ranges, unsigned n, uint32_t *i) {
    for (unsigned r = 0; r < n; r++) {
        uint32_t size = size_of(ranges[r]);
        if (*i < size)
            return (uint16_t)(ranges[r].low + *i);
        *i -= size;
    }
    return 0;
}

uint16_t ports_outside(const struct port_split *split, uint32_t i) {
    return nth(split->outside, split->n_outside, &i);
}

uint32_t ports_total(const struct port_split *split) {
    uint32_t total = split->outside_total;
    for (unsigned r = 0; r < split->n_inside; r++)
        total += size_of(split->inside[r]);
    return total;
}

uint16_t ports_nth(const struct port_split *split, uint32_t i) {
    uint16_t port = nth(split->inside, split->n_inside, &i);
    return port ? port : ports_outside(split, i);
}

bool ports_window(struct port_range range, uint64_t random, struct port_range *out) {
    unsigned n = (unsigned)range.high - range.low + 1;
    if (range.high < range.low || n < 4 * PORT_WINDOW)
        return false;
    unsigned low = range.low + (unsigned)(random % (n - PORT_WINDOW + 1));
    *out = (struct port_range){(uint16_t)low, (uint16_t)(low + PORT_WINDOW - 1)};
    return true;
}

static const char *number(const char *text, unsigned *out) {
    unsigned n = 0, digits = 0;
    while (*text == ' ' || *text == '\t')
        text++;
    for (; *text >= '0' && *text <= '9' && digits < 6; text++, digits++)
        n = n * 10 + (unsigned)(*text - '0');
    *out = n;
    return digits > 0 && n <= 65535 ? text : NULL;
}

bool ports_read_sysctl(const char *text, struct port_range *out) {
    unsigned low, high;
    text = number(text, &low);
    text = text ? number(text, &high) : NULL;
    if (!text || low == 0 || low > high || text[*text == '\n'] != 0)
        return false;
    *out = (struct port_range){(uint16_t)low, (uint16_t)high};
    return true;
}

uint32_t ports_reserved(const char *text, const struct port_range *ranges, unsigned n) {
    uint32_t count = 0;
    unsigned low, high;
    while (text && (text = number(text, &low))) {
        high = low;
        if (*text == '-')
            text = number(text + 1, &high);
        for (unsigned i = 0; i < n; i++) {
            unsigned from = low > ranges[i].low ? low : ranges[i].low;
            unsigned to = high < ranges[i].high ? high : ranges[i].high;
            count += from <= to ? to - from + 1 : 0;
        }
        text = text && *text == ',' ? text + 1 : NULL;
    }
    return count;
}
