/* model.h - between the command and its output. */
#ifndef CONNSPREAD_TOOL_QUADS_MODEL_H
#define CONNSPREAD_TOOL_QUADS_MODEL_H

#include "tool/host/socket_table.h"
#include "tool/host/socket_users.h"

struct quads_report {
    const struct quads_table *table; /* sorted */
    struct host_ports ports;
    uint32_t capacity; /* of each pair */
    uint32_t slab[2];  /* bytes of a TIME-WAIT socket, IPv4 and IPv6; 0: not readable, or none was ever made */
    bool slab_denied;  /* /proc/slabinfo: only root may read it */
    uint64_t time_us;
    size_t top;                       /* pairs to print; 0: all */
    const struct socket_users *users; /* of the first n_users pairs; NULL: not asked for */
    size_t n_users;
};

#endif
