#include "connect/connecting.h"

#include <errno.h>
#include <netinet/in.h>

#include "base/kernel_constants.h"
#include "base/sys.h"
#include "client/client.h"
#include "client/events.h"
#include "client/open_table.h"
#include "client/track.h"
#include "state/pair.h"
#include "client/sockinfo.h"

void connecting_look_again(struct connecting *k, uint32_t serial) {
    if (!conn_take(k->conn, serial)) {
        k->number = NUMBER_LOST;
        k->conn = k->stand_in;
        k->report->conn = k->stand_in;
    }
    if (k->number != NUMBER_LOST)
        k->number = fd_is(k->call->fd, k->conn) ? NUMBER_OURS : NUMBER_CLOSED;
}

bool connecting_run(struct client *client, struct connecting *k) {
    uint32_t serial = conn_serial(k->conn);
    k->attempts++;
    open_table_opened(client, k->conn);
    k->stand_in->source = k->conn->source;
    k->stand_in->flags = conn_flags(k->conn) & (CONN_OUR_BIND | CONN_APP_ADDRESS);
    conn_release(client, k->conn);
    k->result = k->call->make(k->call);
    k->error = k->result < 0 ? errno : 0;
    connecting_look_again(k, serial);
    return k->number != NUMBER_OURS || k->error != EADDRNOTAVAIL;
}

enum { AT_ONCE_NS = 50000000 };

/* The socket that we prepared, still: it has our option, and the number is on record as ours. A socket that another
 * thread has just got under the number has neither both. */
static bool is_prepared(const struct connecting *k) {
    int value = 0, fd = k->call->fd;
    return get_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &value) == 0 && value == 1 && fd_is(fd, k->conn);
}

/* Did the call that failed find no way out with our source, without a SYN? The kernel asks for the route first and
 * takes a port then (tcp_v4_connect, tcp_v6_connect), and the socket goes on showing that port when the connect has
 * failed: what shows our source and no port has sent nothing, and is the socket that we bound. With the port it asks
 * once more (ip_route_newports, inet_sk_rebuild_header): where the source has left the host in between, or a rule
 * refuses the port, there is a port, but no SYN was made. NEXT: so it is. STOP: getsockname is denied (a seccomp
 * filter), but what came back at once may be made once more, as the client made it. */
__attribute__((noinline)) static enum step step_without_way(const struct connecting *k) {
    struct sockaddr_storage name;
    struct endpoint local;
    socklen_t length = sizeof name;
    if (sys_call3(SYS_getsockname, k->call->fd, &name, &length) != 0)
        return clock_ns(CLOCK_MONOTONIC) - k->now < AT_ONCE_NS && is_prepared(k) ? STEP_STOP : STEP_DONE;
    bool same = endpoint_from_sockaddr(&local, &name, length) && addr_compare(&local.addr, &k->conn->source) == 0;
    return same && (local.port == 0 || sockinfo_made_no_syn(k->call->fd)) ? STEP_NEXT : STEP_DONE;
}

/* NEXT: an error of routing or filtering that our source has caused. What the network answered is the client's result:
 * to ask it again from elsewhere would cost the client its wait again. */
enum step connecting_step(const struct connecting *k) {
    if (k->way == WAY_OWN || k->number != NUMBER_OURS)
        return STEP_DONE;
    switch (k->error) {
    case EINVAL:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EACCES:
    case EPERM:
        return step_without_way(k);
    default:
        return STEP_DONE;
    }
}

__attribute__((noinline)) void connecting_note_unusable(struct connecting *k, const struct endpoint *source,
                                                        int error) {
    if (k->n_unusable < UNUSABLE_MAX && k->way != WAY_PINNED) /* what its own device refuses says nothing to others */
        k->unusable[k->n_unusable++] = (struct unusable_source){k->pair, *source, error};
}

/* Another way worked: so it was the sources. */
__attribute__((noinline)) void connecting_mark_unusable(struct client *client, struct connecting *k) {
    for (unsigned i = 0; i < k->n_unusable; i++)
        if (pair_set_unusable(k->unusable[i].pair, k->now, UNREACHABLE_MS))
            event_source_down(client, k->conn, &k->unusable[i].source, k->destination, CAUSE_UNREACHABLE,
                              k->unusable[i].error);
    k->n_unusable = 0;
}
