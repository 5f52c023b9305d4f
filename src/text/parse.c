#include "text/parse.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 128 };

static const char bad_address[] = "an address such as 10.0.0.1 or fd00::1, without a name or a zone";

/* Unsigned decimal from [*at, end), nothing else; advances *at. */
static bool number(const char **at, const char *end, uint64_t max, uint64_t *out) {
    uint64_t value = 0;
    const char *p = *at;
    while (p < end && *p >= '0' && *p <= '9') {
        unsigned digit = (unsigned)(*p++ - '0');
        if (value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (p == *at)
        return false;
    *at = p;
    *out = value;
    return true;
}

/* An address from [text, end); *v6 tells how it was written, which decides what a prefix length counts. */
static const char *address(const char *text, const char *end, struct addr *out, bool *v6) {
    char copy[INET6_ADDRSTRLEN];
    size_t length = (size_t)(end - text);
    if (length >= 2 && text[0] == '[' && end[-1] == ']') {
        text++;
        length -= 2;
        if (memchr(text, ':', length) == NULL)
            return bad_address;
    }
    if (length == 0 || length >= sizeof copy)
        return bad_address;
    memcpy(copy, text, length);
    copy[length] = '\0';
    struct in_addr in;
    struct in6_addr in6;
    if (inet_pton(AF_INET, copy, &in) == 1) {
        *out = addr_from_v4(ntohl(in.s_addr));
        *v6 = false;
        return NULL;
    }
    if (inet_pton(AF_INET6, copy, &in6) != 1)
        return bad_address;
    memcpy(out->b, &in6, 16);
    *v6 = true;
    return NULL;
}

/* "/LEN" after an address, from [text, end), as bits of the 128-bit form. */
static const char *prefix_length(const char *text, const char *end, const struct addr *a, bool v6, uint8_t *out) {
    uint64_t bits;
    if (!number(&text, end, v6 ? 128 : 32, &bits) || text != end)
        return v6 ? "a prefix length from 0 to 128" : "a prefix length from 0 to 32";
    if (v6 && addr_is_v4(a) && bits < 96)
        return "at least 96 bits for a prefix of an IPv4-mapped address";
    *out = (uint8_t)(v6 ? bits : bits + 96);
    return NULL;
}

static void mask(struct addr *a, unsigned length) {
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = length > i * 8 ? length - i * 8 : 0;
        if (keep < 8)
            a->b[i] &= (uint8_t)(0xff00 >> keep);
    }
}

/* Multicast, and the IPv4 broadcast address: no connection can come from there. */
static bool is_group(const struct addr *a) {
    if (addr_is_v4(a))
        return (a->b[12] & 0xf0) == 0xe0 || (a->b[12] & a->b[13] & a->b[14] & a->b[15]) == 0xff;
    return a->b[0] == 0xff;
}

/* Checks that first..last can all be source addresses of one scope. Blocks smaller than the largest range (2^32 - 1)
 * can lie within it, all of them IPv4: 127/8 and 224/4. */
static const char *check_range(const struct addr *first, const struct addr *last) {
    struct addr loopback = addr_from_v4(0x7f000000), multicast = addr_from_v4(0xe0000000);
    if (addr_is_any(first))
        return "an address of this host, not the wildcard";
    if (is_group(first) || is_group(last) ||
        (addr_compare(first, &multicast) < 0 && addr_compare(last, &multicast) >= 0 && addr_is_v4(first)))
        return "an address of this host, not multicast or broadcast";
    if (addr_scope(first) != addr_scope(last) ||
        (addr_compare(first, &loopback) < 0 && addr_compare(last, &loopback) >= 0 && addr_is_v4(first)))
        return "a range within one scope: all loopback, all link-local or all others";
    return NULL;
}

const char *parse_address(const char *text, struct addr *out) {
    bool v6;
    struct addr a;
    const char *wrong = address(text, text + strnlen(text, TEXT_MAX), &a, &v6);
    if (!wrong)
        *out = a;
    return wrong;
}

const char *parse_source(const char *text, struct policy_source *out) {
    const char *end = text + strnlen(text, TEXT_MAX), *wrong;
    const char *dash = memchr(text, '-', (size_t)(end - text)), *slash = memchr(text, '/', (size_t)(end - text));
    struct addr first, last;
    uint64_t more = 0; /* addresses after the first */
    bool v6, last_v6;
    if ((wrong = address(text, slash ? slash : dash ? dash : end, &first, &v6)))
        return wrong;
    last = first;
    if (slash) {
        uint8_t length;
        if ((wrong = prefix_length(slash + 1, end, &first, v6, &length)))
            return wrong;
        mask(&first, length);
        more = length <= 96 ? UINT32_MAX - 1u : (1ull << (128 - length)) - 1;
        last = addr_add(&first, more);
    } else if (dash) {
        if ((wrong = address(dash + 1, end, &last, &last_v6)))
            return wrong;
        if (addr_is_v4(&first) != addr_is_v4(&last))
            return "a range with both ends of one family";
        if (addr_compare(&first, &last) > 0)
            return "a range with the lower address first";
        more = addr_distance(&first, &last);
        if (more > UINT32_MAX - 1u)
            return "a range of at most 4294967295 addresses";
    }
    if ((wrong = check_range(&first, &last)))
        return wrong;
    *out = (struct policy_source){.first = first, .count = (uint32_t)more + 1};
    return NULL;
}

static const char *ports(const char *text, const char *end, struct port_range *out) {
    static const char bad[] = "a port or a range within 1-65535, the lower first";
    uint64_t low, high;
    if (!number(&text, end, 65535, &low))
        return bad;
    high = low;
    if (text < end && *text == '-') {
        text++;
        if (!number(&text, end, 65535, &high))
            return bad;
    }
    if (text != end || low < 1 || low > high)
        return bad;
    *out = (struct port_range){.low = (uint16_t)low, .high = (uint16_t)high};
    return NULL;
}

const char *parse_ports(const char *text, struct port_range *out) {
    return ports(text, text + strnlen(text, TEXT_MAX), out);
}

/* Where the address part of a target ends, and where its ports begin (or NULL). */
static const char *split_target(const char *text, const char *end, const char **port) {
    const char *colon = memchr(text, ':', (size_t)(end - text)), *host_end = end;
    *port = NULL;
    if (*text == '[') {
        const char *close = memchr(text, ']', (size_t)(end - text));
        if (close && close + 1 < end && close[1] == ':')
            host_end = close + 1;
    } else if (colon && memchr(colon + 1, ':', (size_t)(end - colon - 1)) == NULL) {
        host_end = colon;
    }
    if (host_end < end)
        *port = host_end + 1;
    return host_end;
}

const char *parse_target(const char *text, struct policy_target *out) {
    const char *end = text + strnlen(text, TEXT_MAX), *port, *wrong;
    const char *host_end = split_target(text, end, &port);
    struct policy_target target = {.ports = {1, 65535}, .length = 128};
    if (port && (wrong = ports(port, end, &target.ports)))
        return wrong;
    if (host_end - text == 1 && *text == '*') {
        target.any = 1;
        target.length = 0;
        *out = target;
        return NULL;
    }
    bool bracketed = host_end - text >= 2 && text[0] == '[' && host_end[-1] == ']', v6;
    if (bracketed) {
        text++;
        host_end--;
        if (memchr(text, ':', (size_t)(host_end - text)) == NULL)
            return "brackets around IPv6 only: [fd00::/64]:443";
    }
    const char *slash = memchr(text, '/', (size_t)(host_end - text));
    if (address(text, slash ? slash : host_end, &target.prefix, &v6))
        return "\"*\" or ADDRESS[/LEN][:PORT[-PORT]], IPv6 in brackets before a port";
    if (slash && (wrong = prefix_length(slash + 1, host_end, &target.prefix, v6, &target.length)))
        return wrong;
    mask(&target.prefix, target.length);
    *out = target;
    return NULL;
}

/* The largest prefix that begins at first and does not go beyond last; *end: its last address. */
static unsigned largest_prefix(const struct addr *first, const struct addr *last, struct addr *end) {
    unsigned length = 128;
    *end = *first;
    for (; length > 0; length--) {
        struct addr begin = *first, until = addr_last(first, length - 1);
        mask(&begin, length - 1);
        if (addr_compare(&begin, first) != 0 || addr_compare(&until, last) > 0)
            break;
        *end = until;
    }
    return length;
}

static const char *cut_range(const struct addr *first, const struct addr *last, struct policy_target target,
                             struct policy_target out[], unsigned max, unsigned *count) {
    struct addr end;
    *count = 0;
    for (target.prefix = *first;; target.prefix = addr_add(&end, 1)) {
        if (*count == max)
            return "fewer destinations: this range needs more prefixes than there is room for (512 in a config)";
        target.length = (uint8_t)largest_prefix(&target.prefix, last, &end);
        out[(*count)++] = target;
        if (addr_compare(&end, last) >= 0)
            return NULL;
    }
}

const char *parse_targets(const char *text, struct policy_target out[], unsigned max, unsigned *count) {
    static const char bad[] =
        "a range A-B[:PORT[-PORT]], IPv6 as [A-B]:PORT, of addresses of one family, the lower first";
    const char *end = text + strnlen(text, TEXT_MAX), *port, *wrong;
    const char *host_end = split_target(text, end, &port);
    const char *dash = memchr(text, '-', (size_t)(host_end - text));
    struct policy_target target = {.ports = {1, 65535}};
    struct addr first, last;
    bool first_v6, last_v6;
    *count = 0;
    if (!dash) {
        wrong = max ? parse_target(text, out) : "fewer destinations (512 in a config)";
        *count = !wrong;
        return wrong;
    }
    if (port && (wrong = ports(port, end, &target.ports)))
        return wrong;
    if (host_end - text >= 2 && text[0] == '[' && host_end[-1] == ']') {
        text++;
        host_end--;
    }
    if (address(text, dash, &first, &first_v6) || address(dash + 1, host_end, &last, &last_v6) ||
        addr_is_v4(&first) != addr_is_v4(&last) || addr_compare(&first, &last) > 0)
        return bad;
    return cut_range(&first, &last, target, out, max, count);
}

const char *parse_duration(const char *text, uint32_t *out_ms) {
    static const struct {
        char unit[3];
        uint32_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    const char *end = text + strnlen(text, TEXT_MAX);
    uint64_t value;
    if (!number(&text, end, UINT32_MAX, &value))
        return "a duration such as 250ms, 60s, 2m or 1h";
    if (text == end && value == 0) {
        *out_ms = 0;
        return NULL;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(text, units[i].unit) == 0) {
            if (value * units[i].ms > UINT32_MAX)
                return "a duration of at most 1193h";
            *out_ms = (uint32_t)(value * units[i].ms);
            return NULL;
        }
    return "a duration such as 250ms, 60s, 2m or 1h";
}

const char *parse_size(const char *text, uint64_t *out) {
    static const char suffixes[] = "kKmMgG", bad[] = "a size such as 65536, 512k, 8M or 1G";
    const char *end = text + strnlen(text, TEXT_MAX);
    uint64_t value;
    if (!number(&text, end, UINT64_MAX, &value))
        return bad;
    unsigned shift = 0;
    if (text < end) {
        const char *suffix = strchr(suffixes, *text++);
        if (!suffix || text != end)
            return bad;
        shift = 10 * (unsigned)((suffix - suffixes) / 2 + 1);
    }
    if (value > UINT64_MAX >> shift)
        return "a size of less than 2^64 bytes";
    *out = value << shift;
    return NULL;
}

void format_address(char out[ADDR_TEXT], const struct addr *a) {
    if (addr_is_v4(a))
        inet_ntop(AF_INET, a->b + 12, out, ADDR_TEXT);
    else
        inet_ntop(AF_INET6, a->b, out, ADDR_TEXT);
}

void format_endpoint(char out[ENDPOINT_TEXT], const struct addr *a, uint16_t port) {
    char text[ADDR_TEXT];
    format_address(text, a);
    snprintf(out, ENDPOINT_TEXT, addr_is_v4(a) ? "%s:%u" : "[%s]:%u", text, (unsigned)port);
}
