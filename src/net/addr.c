#include "net/addr.h"

#include <endian.h>
#include <netinet/in.h>
#include <string.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool addr_is_v4(const struct addr *a) {
    return memcmp(a->b, mapped, sizeof mapped) == 0;
}

bool addr_is_any(const struct addr *a) {
    static const uint8_t zero[16];
    if (addr_is_v4(a))
        return memcmp(a->b + 12, zero, 4) == 0;
    return memcmp(a->b, zero, 16) == 0;
}

enum addr_scope addr_scope(const struct addr *a) {
    static const uint8_t loopback6[16] = {[15] = 1};
    if (addr_is_v4(a))
        return a->b[12] == 127 ? SCOPE_V4_LOOPBACK : SCOPE_V4;
    if (memcmp(a->b, loopback6, 16) == 0)
        return SCOPE_V6_LOOPBACK;
    if (a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80)
        return SCOPE_V6_LINK;
    return SCOPE_V6;
}

int addr_compare(const struct addr *a, const struct addr *b) {
    return memcmp(a->b, b->b, sizeof a->b);
}

struct addr addr_add(const struct addr *base, uint64_t n) {
    struct addr sum = *base;
    unsigned carry = 0;
    for (int i = 15; i >= 0; i--) {
        unsigned total = sum.b[i] + (unsigned)(n & 0xff) + carry;
        sum.b[i] = (uint8_t)total;
        carry = total >> 8;
        n >>= 8;
        if (n == 0 && carry == 0)
            break;
    }
    return sum;
}

/* The first or second half as a number whose highest bit is the address's first. */
static uint64_t half(const struct addr *a, unsigned which) {
    uint64_t n;
    memcpy(&n, a->b + 8 * which, sizeof n);
    return be64toh(n);
}

uint64_t addr_upper(const struct addr *a) {
    return half(a, 0);
}

struct addr addr_add_upper(const struct addr *base, uint64_t n) {
    struct addr sum = *base;
    n = htobe64(half(base, 0) + n);
    memcpy(sum.b, &n, sizeof n);
    return sum;
}

struct addr addr_last(const struct addr *prefix, unsigned length) {
    struct addr last = *prefix;
    for (unsigned i = length; i < 128; i++)
        last.b[i / 8] |= (uint8_t)(0x80 >> i % 8);
    return last;
}

uint64_t addr_distance(const struct addr *a, const struct addr *b) {
    bool borrow = half(b, 1) < half(a, 1);
    return half(b, 0) - half(a, 0) == borrow ? half(b, 1) - half(a, 1) : UINT64_MAX;
}

bool addr_in_prefix(const struct addr *a, const struct addr *prefix, unsigned length) {
    uint64_t high = half(a, 0) ^ half(prefix, 0), low = half(a, 1) ^ half(prefix, 1);
    if (length <= 64)
        return length == 0 || high >> (64 - length) == 0;
    return length <= 128 && high == 0 && low >> (128 - length) == 0;
}

struct addr addr_from_v4(uint32_t host_order) {
    struct addr a;
    memcpy(a.b, mapped, sizeof mapped);
    for (int i = 0; i < 4; i++)
        a.b[12 + i] = (uint8_t)(host_order >> (24 - 8 * i));
    return a;
}

bool endpoint_from_sockaddr(struct endpoint *out, const void *sockaddr, size_t length) {
    sa_family_t family;
    if (length < sizeof family)
        return false;
    memcpy(&family, sockaddr, sizeof family);
    if (family == AF_INET && length >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, sockaddr, sizeof in);
        *out = (struct endpoint){.port = ntohs(in.sin_port)};
        memcpy(out->addr.b, mapped, sizeof mapped);
        memcpy(out->addr.b + 12, &in.sin_addr, 4);
        return true;
    }
    if (family == AF_INET6 && length >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
        struct sockaddr_in6 in6 = {0};
        memcpy(&in6, sockaddr, length < sizeof in6 ? length : sizeof in6);
        *out = (struct endpoint){.port = ntohs(in6.sin6_port), .scope = in6.sin6_scope_id};
        memcpy(out->addr.b, &in6.sin6_addr, 16);
        return true;
    }
    return false;
}

socklen_t endpoint_to_sockaddr(struct sockaddr_storage *out, const struct endpoint *in, int family) {
    if (family == AF_INET) {
        struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(in->port)};
        if (!addr_is_v4(&in->addr) && !addr_is_any(&in->addr))
            return 0;
        memcpy(&sin.sin_addr, in->addr.b + 12, 4);
        memcpy(out, &sin, sizeof sin);
        return sizeof sin;
    }
    if (family == AF_INET6) {
        struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(in->port), .sin6_scope_id = in->scope};
        if (!addr_is_any(&in->addr))
            memcpy(&sin6.sin6_addr, in->addr.b, 16);
        memcpy(out, &sin6, sizeof sin6);
        return sizeof sin6;
    }
    return 0;
}
