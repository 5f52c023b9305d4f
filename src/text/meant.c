#include "text/meant.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text/parse.h"

enum { PIECE = 96 };

static bool meant(struct meant *out, const char *what, const char *format, ...) __attribute__((format(printf, 3, 4)));

static bool meant(struct meant *out, const char *what, const char *format, ...) {
    va_list arguments;
    out->what = what;
    va_start(arguments, format);
    vsnprintf(out->right, sizeof out->right, format, arguments);
    va_end(arguments);
    return true;
}

/* The first length bytes of text; false: they do not fit. */
static bool cut(const char *text, size_t length, char out[PIECE]) {
    if (length >= PIECE)
        return false;
    memcpy(out, text, length);
    out[length] = '\0';
    return true;
}

/* Cuts at the last c: what stands before it, and where the rest begins. NULL: there is none. */
static const char *cut_last(const char *text, char c, char before[PIECE]) {
    const char *at = strrchr(text, c);
    return at && cut(text, (size_t)(at - text), before) ? at + 1 : NULL;
}

static bool is_digits(const char *text) {
    return *text && strspn(text, "0123456789") == strlen(text);
}

/* "a,b" as { "a", "b" }. A piece that is ports alone gets the address of the first: "10.0.0.1:80,443". */
static bool list(const char *text, struct meant *out) {
    char first[PIECE] = "", host[PIECE] = "", piece[PIECE];
    size_t used = 0, length = strcspn(text, ",");
    if (!text[length] || !cut(text, length, first))
        return false;
    if (!cut_last(first, ':', host))
        host[0] = '\0';
    for (const char *at = text; *at; at += length, at += strspn(at, ", ")) {
        struct port_range ports;
        length = strcspn(at, ",");
        if (!cut(at, length, piece))
            return false;
        bool alone = at != text && *host && !parse_ports(piece, &ports);
        int n = snprintf(out->right + used, sizeof out->right - used, "%s\"%s%s%s\"", used ? ", " : "{ ",
                         alone ? host : "", alone ? ":" : "", piece);
        used += (size_t)n;
        if (used + sizeof " }" > sizeof out->right)
            return false;
    }
    memcpy(out->right + used, " }", sizeof " }");
    out->what = "is a list in one string";
    return true;
}

/* "10.0.0.11/24", as `ip addr` prints it. */
static bool host_bits(const char *text, struct meant *out) {
    char head[PIECE], whole[ADDR_TEXT], rest[PIECE] = "";
    const char *at = strchr(text, '/');
    struct addr written;
    struct policy_target network;
    if (!at || !cut(text, (size_t)(at - text), head))
        return false;
    bool bracket = head[0] == '[';
    size_t bits = strspn(at + 1, "0123456789");
    char prefix[PIECE];
    if (!cut(text + bracket, (size_t)(at - text) - bracket + 1 + bits, prefix) ||
        !cut(at + 1 + bits, strlen(at + 1 + bits), rest))
        return false;
    if (parse_address(head + bracket, &written) || parse_target(prefix, &network) ||
        addr_compare(&written, &network.prefix) == 0)
        return false;
    format_address(whole, &network.prefix);
    const char *open = bracket ? "[" : "";
    return meant(out, "is an address and the prefix length of its network",
                 "\"%s%s%s\" for that address alone, or \"%s%s/%.*s%s\" for its whole network", open, head + bracket,
                 rest, open, whole, (int)bits, at + 1, rest);
}

static bool zone(const char *text, bool is_target, struct meant *out) {
    const char *at = strchr(text, '%');
    char head[PIECE], name[PIECE];
    if (!at || !cut(text, (size_t)(at - text), head))
        return false;
    size_t length = strcspn(at + 1, "]:/");
    if (!cut(at + 1, length, name))
        return false;
    if (is_target)
        return meant(out, "names an interface, and destinations are compared without it", "\"%s%s\"", head,
                     at + 1 + length);
    return meant(out, "names an interface behind an address", "\"%s\", or \"%s\" for all addresses of that interface",
                 head, name);
}

/* "10.0.0.11:1024-2000" */
static bool source_with_ports(const char *text, struct meant *out) {
    char head[PIECE];
    struct policy_source source;
    struct port_range ports;
    const char *tail = cut_last(text, ':', head);
    if (!tail || parse_ports(tail, &ports) || parse_source(head, &source) || !parse_source(text, &source))
        return false;
    return meant(out, "has ports, which stand apart from the addresses", "addresses = \"%s\" and ports = \"%s\"", head,
                 tail);
}

/* "10.0.0.11-14" */
static bool short_range(const char *text, struct meant *out) {
    char head[PIECE], stem[PIECE];
    struct addr a;
    const char *tail = cut_last(text, '-', head);
    if (!tail || !is_digits(tail) || parse_address(head, &a) || !addr_is_v4(&a) || !cut_last(head, '.', stem))
        return false;
    return meant(out, "has only the end of its last address", "\"%s-%s.%s\"", head, stem, tail);
}

bool meant_source(const char *text, struct meant *out) {
    if (text[0] == '!')
        return meant(out, "is an exclusion, which has a key of its own", "exclude-addresses = { \"%.90s\" }", text + 1);
    return zone(text, false, out) || list(text, out) || host_bits(text, out) || source_with_ports(text, out) ||
           short_range(text, out);
}

static bool wildcard(const char *text, struct meant *out) {
    struct policy_target target;
    if (parse_target(text, &target) || target.any || target.length != 128 || !addr_is_any(&target.prefix))
        return false;
    char head[PIECE];
    const char *tail = *text == '[' || addr_is_v4(&target.prefix) ? cut_last(text, ':', head) : NULL;
    const char *ports = tail && target.ports.low > 1 ? strrchr(text, ':') : "";
    if (addr_is_v4(&target.prefix))
        return meant(out, "is the wildcard address, which matches no connection",
                     "\"*%s\" for every address, or \"0.0.0.0/0%s\" for every IPv4 address", ports, ports);
    return meant(out, "is the wildcard address, which matches no connection",
                 "\"*%s\" for every address, or \"[::/0]%s\" for every IPv6 address", ports, ports);
}

/* "fd00::2:443": an address, or an address and a port? A single digit behind the last colon is hardly a port. */
static bool bare_v6_port(const char *text, struct meant *out) {
    char head[PIECE];
    struct policy_target target;
    struct port_range ports;
    const char *tail = cut_last(text, ':', head);
    if (!tail || text[0] == '[' || !strchr(head, ':') || parse_ports(tail, &ports) || parse_target(head, &target))
        return false;
    if (parse_target(text, &target))
        return meant(out, "has a port behind IPv6 without brackets", "\"[%s]:%s\"", head, tail);
    return strlen(tail) > 1 && meant(out, "can be read as an address, and as an address with a port",
                                     "\"[%s]:%s\" with the port, or \"[%s]\" for the address", head, tail, text);
}

static bool named_port(const char *text, struct meant *out) {
    char head[PIECE];
    struct policy_target target;
    const char *tail = cut_last(text, ':', head);
    if (!tail || !*tail || strpbrk(tail, "0123456789]") || parse_target(head, &target))
        return false;
    return meant(out, "names its port", "\"%s:NUMBER\", such as 443 for https", head);
}

bool meant_target(const char *text, struct meant *out) {
    if (text[0] == '!')
        return meant(out, "is an exclusion, which has a key of its own", "except = { \"%.90s\" }", text + 1);
    return zone(text, true, out) || list(text, out) || host_bits(text, out) || wildcard(text, out) ||
           bare_v6_port(text, out) || named_port(text, out);
}

bool meant_ports(const char *text, struct meant *out) {
    char head[PIECE];
    struct port_range ports;
    size_t digits = strspn(text, "0123456789"), between = strspn(text + digits, " \t:.");
    if (list(text, out))
        return true;
    if (!digits || !between || !is_digits(text + digits + between) || !cut(text, digits, head))
        return false;
    size_t length = strlen(head);
    snprintf(head + length, sizeof head - length, "-%.8s", text + digits + between);
    return !parse_ports(head, &ports) && meant(out, "has something else than - between its ends", "\"%s\"", head);
}
