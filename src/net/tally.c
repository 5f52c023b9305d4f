#include "net/tally.h"

#include <errno.h>
#include <netinet/tcp.h>

#include "net/diag.h"

enum kernel_group tally_group(unsigned state) {
    switch (state) {
    case TCP_ESTABLISHED:
        return KERNEL_ESTABLISHED;
    case TCP_TIME_WAIT:
        return KERNEL_TIME_WAIT;
    case TCP_FIN_WAIT1:
    case TCP_FIN_WAIT2:
        return KERNEL_FIN_WAIT;
    case TCP_CLOSE_WAIT:
        return KERNEL_CLOSE_WAIT;
    default:
        return KERNEL_OTHER;
    }
}

struct tally tally_source(int netlink, const struct addr *source, const struct endpoint *destination,
                          const struct port_split *ports, uint32_t lookups) {
    struct tally t = {.counted = COUNTED_NO};
    uint32_t total = ports_total(ports), n = lookups < total ? lookups : total;
    for (uint32_t i = 0; i < n; i++) {
        struct diag_answer answer;
        uint16_t port = ports_nth(ports, (uint32_t)((uint64_t)i * total / n));
        struct tuple tuple = tuple_of(source, port, &destination->addr, destination->port);
        int found = diag_ask(netlink, &tuple, &answer);
        if (found == 0)
            t.count[tally_group(answer.state)]++;
        else if (found != -ENOENT)
            return (struct tally){.counted = COUNTED_NO};
    }
    for (unsigned g = 0; n && g < KERNEL_GROUPS; g++)
        t.count[g] = (uint32_t)(((uint64_t)t.count[g] * total + n / 2) / n);
    if (n)
        t.counted = n == total ? COUNTED_ALL : COUNTED_SAMPLE;
    return t;
}
