#include "connect/explicit_port.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>

#include "net/diag.h"
#include "client/client.h"
#include "client/sockinfo.h"
#include "state/dedup.h"
#include "base/sys.h"

enum { TIME_WAIT_MS = 60000 };

static uint32_t known; /* high << 16 | low; written whole, so a race is two equal writes */

bool host_ports_known(struct client *client, struct port_range *out) {
    uint32_t word = __atomic_load_n(&known, __ATOMIC_RELAXED);
    *out = (struct port_range){(uint16_t)word, (uint16_t)(word >> 16)};
    return word != 0 && out->low <= out->high && !__atomic_load_n(&client->netns_varies, __ATOMIC_RELAXED);
}

struct port_range host_ports(struct client *client, bool refresh) {
    uint32_t word = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (word == 0 || refresh || __atomic_load_n(&client->netns_varies, __ATOMIC_RELAXED)) {
        char text[32];
        struct port_range range = PORTS_DEFAULT;
        int fd = (int)sys_call4(SYS_openat, AT_FDCWD, PORTS_SYSCTL, O_RDONLY | O_CLOEXEC, 0);
        long n = fd < 0 ? 0 : sys_call3(SYS_read, fd, text, sizeof text - 1);
        if (fd >= 0)
            (void)sys_call1(SYS_close, fd);
        text[n > 0 ? n : 0] = 0;
        if (!ports_read_sysctl(text, &range) && word != 0)
            return (struct port_range){(uint16_t)word, (uint16_t)(word >> 16)}; /* no descriptor, say: as it was */
        word = (uint32_t)range.high << 16 | range.low;
        __atomic_store_n(&known, word, __ATOMIC_RELAXED);
    }
    return (struct port_range){(uint16_t)word, (uint16_t)(word >> 16)};
}

void host_ports_may_have_changed(struct client *client, uint64_t now) {
    static uint64_t next;
    uint64_t due = __atomic_load_n(&next, __ATOMIC_RELAXED);
    if (now >= due &&
        __atomic_compare_exchange_n(&next, &due, now + 1000000000u, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        (void)host_ports(client, true);
}

static int bind_port(const struct explicit_bind *b, uint16_t port) {
    struct sockaddr_storage name;
    struct endpoint at = {.addr = b->source->addr, .port = port, .scope = b->source->scope};
    socklen_t length = endpoint_to_sockaddr(&name, &at, b->conn->family);
    return length ? (int)sys_call3(SYS_bind, b->fd, &name, length) : -EAFNOSUPPORT;
}

/* May the port be shared, by the kernel's own word: nothing on this quadruplet, or only an old TIME-WAIT? */
static bool quadruplet_free(const struct explicit_bind *b, uint16_t port) {
    struct diag_answer answer;
    struct tuple tuple = tuple_of(&b->source->addr, port, &b->destination->addr, b->destination->port);
    int found = diag_lookup(&tuple, &answer);
    if (found == -ENOENT)
        return true;
    return found == 0 && answer.state == TCP_TIME_WAIT && answer.expires_ms <= TIME_WAIT_MS &&
           TIME_WAIT_MS - answer.expires_ms >= b->reuse_after_ms;
}

/* Without SO_REUSEADDR first: what that bind gets, no other socket has. With it afterwards on, so that connections to
 * other destinations can have the same port; the kernel asks for it on both sides. */
static int bind_free(const struct explicit_bind *b, uint16_t port) {
    int fd = b->fd;
    int reuse = 0;
    (void)get_option(fd, SOL_SOCKET, SO_REUSEADDR, &reuse);
    if (reuse)
        (void)set_option(fd, SOL_SOCKET, SO_REUSEADDR, 0);
    int r = bind_port(b, port);
    bool shareable = r == -EADDRINUSE && quadruplet_free(b, port);
    if (r == 0 || shareable || reuse)
        (void)set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (!shareable)
        return r;
    r = bind_port(b, port);
    if (r != 0 && !reuse)
        (void)set_option(fd, SOL_SOCKET, SO_REUSEADDR, 0);
    return r;
}

int explicit_bind(const struct explicit_bind *b, const struct port_split *split) {
    struct pair *pair = b->pair;
    if (!pair || split->outside_total == 0)
        return 0;
    uint32_t tries = split->outside_total < PORTS_TRIED ? split->outside_total : PORTS_TRIED;
    bool denied = false;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    for (uint32_t i = 0; i < tries; i++) {
        uint32_t turn = __atomic_fetch_add(&pair->port_cursor, 1, __ATOMIC_RELAXED);
        uint16_t port = ports_outside(split, turn % split->outside_total);
        if (!dedup_claim(&b->client->state, b->key, port, now))
            continue;
        int r = bind_free(b, port);
        if (r == 0)
            return port;
        dedup_release(&b->client->state, b->key, port);
        /* EACCES: ports under 1024, or a security module, which says nothing of the source. Anything else but "taken"
         * concerns the socket, not the port. */
        denied |= r == -EACCES && port >= 1024;
        if (r != -EADDRINUSE && r != -EACCES)
            return r;
    }
    return denied ? -EACCES : 0;
}

void explicit_connected(struct client *client, uint64_t key, uint16_t port) {
    dedup_release(&client->state, key, port);
}
