#include "tool/report/here.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "tool/common/text_file.h"
#include "tool/host/counters.h"
#include "tool/host/dump.h"
#include "tool/host/netns.h"

void here_look(struct here *h) {
    struct utsname name;
    const char *what;
    *h = (struct here){.time_wait_overflow = COUNTER_UNKNOWN};
    if (!host_look(&h->host, &what) || uname(&name) != 0)
        return;
    h->known = true;
    for (unsigned port = h->host.ports.ephemeral.low; port <= h->host.ports.ephemeral.high; port++)
        h->ports += !port_in(&h->host.ports.reserved, port);
    h->netns = netns_cookie();
    memcpy(h->name, name.nodename, strnlen(name.nodename, sizeof h->name - 1));
    char *netstat = text_file("/proc/net/netstat");
    h->time_wait_overflow = netstat_counter(netstat ? netstat : "", "TCPTimeWaitOverflow");
    free(netstat);
    h->max_tw_buckets = ipv4_sysctl("tcp_max_tw_buckets");
    h->step_width = ipv4_sysctl("ip_local_port_step_width");
}

bool here_is(const struct here *h, const char *host, uint64_t netns) {
    return h->known && netns == h->netns && strcmp(host, h->name) == 0;
}

struct waiting {
    const struct addr *peer;
    uint16_t port;
    uint64_t n;
};

static void count(const struct dump_socket *s, void *context) {
    struct waiting *w = context;
    w->n += s->peer_port == w->port && addr_compare(&s->peer, w->peer) == 0;
}

uint64_t here_waiting_for_close(const struct addr *peer, uint16_t port) {
    struct waiting w = {.peer = peer, .port = port};
    (void)dump_sockets(1 << TCP_FIN_WAIT1 | 1 << TCP_FIN_WAIT2, count, &w);
    return w.n;
}
