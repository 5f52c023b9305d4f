/* holders.h - Which ports of the ephemeral range connect() will not take, and which processes keep them.
 *
 * No list says so: sock_diag does not tell an explicit bind from the kernel's own choice. So each port is asked for,
 * with a per-socket range of that one port and a TCP Fast Open connect that needs no cookie: the kernel then chooses
 * the port in connect() and leaves the SYN to the first write, which never comes (tcp(7), TCP_FASTOPEN_CONNECT). No
 * packet is sent, nothing is left behind, and the port is held as long as by any client's connect(). */
#ifndef CONNSPREAD_TOOL_HOST_HOLDERS_H
#define CONNSPREAD_TOOL_HOST_HOLDERS_H

#include "tool/host/capacity.h"

enum { HOLDERS = 16, HOLDER_NAME = 32, HOLDER_PORTS = 64 };

/* A process, or where it cannot be looked into a user, that keeps ephemeral ports from the connect() of all programs.
 */
struct holder {
    uint32_t pid; /* 0: unknown */
    uint32_t uid;
    char name[HOLDER_NAME];
    uint32_t ports;          /* different ones */
    char some[HOLDER_PORTS]; /* "40000, 40002, ..." */
};

/* Ports of the ephemeral range that connect() does not take, although they are not reserved. */
struct held_ports {
    bool known;
    uint32_t blocked;   /* all of them */
    uint32_t listening; /* of these: a socket listens there */
    uint32_t ended;     /* of these: nothing but TIME-WAITs, left by sockets that were bound to the port */
    uint32_t unseen;    /* of these: no socket that the kernel would show */
    struct holder listener[HOLDERS], binder[HOLDERS];
    unsigned n_listeners, n_binders; /* those that found room */
};

/* Asks the kernel about each port of the ephemeral range: some 0.1 s. */
void holders_find(const struct host_ports *ports, struct held_ports *out);

/* The processes that have ports of the ephemeral range bound and are neither connected nor listening there, by one
 * dump: less than holders_find finds, and no port is tried. Linux 6.8. Returns how many found room. */
unsigned holders_of_binds(const struct host_ports *ports, struct holder out[HOLDERS]);

/* The one that can be named and has most; pid 0: none. */
struct holder holders_largest(const struct holder *h, unsigned n);

/* The processes that have connections to this destination open, those aside that have a file of this name mapped (NULL:
 * none), and processes that may not be looked into. Returns how many found room. */
unsigned holders_of_connections(const struct endpoint *to, const char *but_mapping, struct holder out[HOLDERS]);

#endif
