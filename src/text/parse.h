/* parse.h - addresses, ranges, destinations, durations and sizes as people write them.
 *
 * Each function returns NULL, or what is wrong in words that fit after "is not valid: " (static storage) and leaves
 * *out alone. Pure. Not used inside the client. */
#ifndef CONNSPREAD_TEXT_PARSE_H
#define CONNSPREAD_TEXT_PARSE_H

#include "policy/policy.h"

/* "10.0.0.1", "fd00::1", "[fd00::1]"; no names, no zone. */
const char *parse_address(const char *text, struct addr *out);

/* One source: address, "A-B" range of one family, or "A/LEN" (every address of the prefix; at most 2^32-1 of them, from
 * its first). A range may not cross from one scope into another. Interface names are the caller's. */
const char *parse_source(const char *text, struct policy_source *out);

/* "*" or "ADDRESS[/LEN][:PORT[-PORT]]", IPv6 in brackets when a port follows: "[fd00:2::/64]:6379-6384"; "*:443". */
const char *parse_target(const char *text, struct policy_target *out);

/* The same, or a range of addresses "A-B[:PORT[-PORT]]", "[A-B]:PORT" of IPv6: in as few prefixes as it has, at most
 * max, into out; *count: how many. An IPv4 range has at most 62, one of IPv6 at most TARGET_PREFIXES. */
enum { TARGET_PREFIXES = 254 };
const char *parse_targets(const char *text, struct policy_target out[], unsigned max, unsigned *count);

/* "8080" or "1024-65535"; 1..65535, low <= high. */
const char *parse_ports(const char *text, struct port_range *out);

/* "250ms", "60s", "2m", "1h"; a bare 0. Milliseconds. */
const char *parse_duration(const char *text, uint32_t *out_ms);

/* "8M", "512k", "1G", "65536". Powers of 1024. Bytes. */
const char *parse_size(const char *text, uint64_t *out);

/* Text forms: address (v4-mapped as IPv4) and address:port / [v6]:port. Buffers of ADDR_TEXT, ENDPOINT_TEXT bytes. */
enum { ADDR_TEXT = 48, ENDPOINT_TEXT = 64 };
void format_address(char out[ADDR_TEXT], const struct addr *a);
void format_endpoint(char out[ENDPOINT_TEXT], const struct addr *a, uint16_t port);

#endif
