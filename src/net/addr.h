/* addr.h - IPv4 and IPv6 addresses and endpoints in one form.
 *
 * Everything in connspread holds an IPv4 address as its v4-mapped IPv6 address (RFC 4291 2.5.5.2), so that a rule, a
 * source or a quadruplet is compared the same way whether the client used AF_INET or AF_INET6.
 * All functions here are pure and async-signal-safe. */
#ifndef CONNSPREAD_NET_ADDR_H
#define CONNSPREAD_NET_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Sixteen bytes in network byte order. */
struct addr {
    uint8_t b[16];
};

/* port: host byte order. scope: interface index of a link-local address, otherwise 0. */
struct endpoint {
    struct addr addr;
    uint16_t port;
    uint16_t zero;
    uint32_t scope;
};

/* What must agree between a source and a destination for a packet to be able to travel between them. */
enum addr_scope {
    SCOPE_V4_LOOPBACK, /* 127.0.0.0/8 */
    SCOPE_V4,
    SCOPE_V6_LOOPBACK, /* ::1 */
    SCOPE_V6_LINK,     /* fe80::/10 */
    SCOPE_V6,
    SCOPE_COUNT
};

bool addr_is_v4(const struct addr *a);
bool addr_is_any(const struct addr *a); /* 0.0.0.0 or :: */
enum addr_scope addr_scope(const struct addr *a);

/* Numerical order: <0, 0, >0. */
int addr_compare(const struct addr *a, const struct addr *b);

/* b - a, or UINT64_MAX when it is more; a <= b. */
uint64_t addr_distance(const struct addr *a, const struct addr *b);

/* The address n places after base; wraps at the end of the 128-bit space. */
struct addr addr_add(const struct addr *base, uint64_t n);

/* The first 64 bits as a number, and the same address so many /64 further. */
uint64_t addr_upper(const struct addr *a);
struct addr addr_add_upper(const struct addr *base, uint64_t n);

/* The last address of prefix/length; length as in addr_in_prefix. */
struct addr addr_last(const struct addr *prefix, unsigned length);

/* Does a lie in prefix/length? length counts bits of the 128-bit form: an IPv4 /8 is 104. More than 128 matches
 * nothing. */
bool addr_in_prefix(const struct addr *a, const struct addr *prefix, unsigned length);

/* The v4-mapped form of an IPv4 address given in host byte order. */
struct addr addr_from_v4(uint32_t host_order);

/* Reads a sockaddr of AF_INET (at least 16 bytes) or AF_INET6 (at least 24, the kernel's SIN6_LEN_RFC2133).
 * Returns false, and leaves *out alone, for any other family or a shorter length. */
bool endpoint_from_sockaddr(struct endpoint *out, const void *sockaddr, size_t length);

/* Writes the sockaddr that a socket of this family needs: AF_INET6 takes IPv4 as v4-mapped (a sockaddr_in
 * on an AF_INET6 socket gives EINVAL; the wildcard of either family becomes ::). Returns its length in bytes, or 0 when
 * the family cannot express the address. */
socklen_t endpoint_to_sockaddr(struct sockaddr_storage *out, const struct endpoint *in, int family);

#endif
