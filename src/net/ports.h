/* ports.h - port ranges against the host's ephemeral range. Pure, async-signal-safe. */
#ifndef CONNSPREAD_NET_PORTS_H
#define CONNSPREAD_NET_PORTS_H

#include <stdbool.h>
#include <stdint.h>

/* Inclusive, host byte order. */
struct port_range {
    uint16_t low, high;
};

enum { PORT_RANGES = 32 }; /* of one pool */

/* A pool's ports, split by how they can be had: inside the ephemeral range through IP_LOCAL_PORT_RANGE, outside it only
 * by an explicit bind. */
struct port_split {
    unsigned n_inside, n_outside;
    struct port_range inside[PORT_RANGES];
    struct port_range outside[PORT_RANGES + 1]; /* the host's range lies inside one configured range at the most */
    uint32_t outside_total;                     /* ports in outside[] */
};

/* n ranges, disjoint. host: net.ipv4.ip_local_port_range. */
void ports_split(struct port_split *out, const struct port_range *ranges, unsigned n, struct port_range host);

/* The i-th port of outside[] (i < outside_total). */
uint16_t ports_outside(const struct port_split *split, uint32_t i);

/* All ports of a split, and the i-th of them (i < ports_total). */
uint32_t ports_total(const struct port_split *split);
uint16_t ports_nth(const struct port_split *split, uint32_t i);

/* A window of PORT_WINDOW neighbouring ports somewhere in range, by random. False: the range is too small for that to
 * help. */
enum { PORT_WINDOW = 512 };
bool ports_window(struct port_range range, uint64_t random, struct port_range *out);

/* The host's ephemeral range: where the kernel shows it, and its default. */
#define PORTS_SYSCTL "/proc/sys/net/ipv4/ip_local_port_range"
enum { PORTS_DEFAULT_LOW = 32768, PORTS_DEFAULT_HIGH = 60999 };
#define PORTS_DEFAULT ((struct port_range){PORTS_DEFAULT_LOW, PORTS_DEFAULT_HIGH})

/* "32768\t60999\n", as the sysctl shows it. False: that is not it, and *out stays. */
bool ports_read_sysctl(const char *text, struct port_range *out);

/* How many ports of n disjoint ranges are in a list as net.ipv4.ip_local_reserved_ports shows it: "8080,9148-9152\n".
 * What is no list counts as far as it is one. */
uint32_t ports_reserved(const char *text, const struct port_range *ranges, unsigned n);

#endif
