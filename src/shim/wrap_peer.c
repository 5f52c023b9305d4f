/* getpeername: whom a connection is to, for rules with show-peer = "asked". */
#include <errno.h>
#include <string.h>

#include "client/asked.h"
#include "client/client.h"
#include "client/sockinfo.h"
#include "shim/readable.h"
#include "shim/real.h"
#include "shim/self.h"

/* As the kernel does it: no more than there is room for, and the whole length is told. */
static void show(const struct endpoint *asked, int family, struct sockaddr *address, socklen_t *length,
                 socklen_t room) {
    struct sockaddr_storage name;
    socklen_t whole = endpoint_to_sockaddr(&name, asked, family);
    if (whole == 0)
        return;
    memcpy(address, &name, room < whole ? room : whole);
    *length = whole;
}

/* Has another thread, or a call that we do not see, put another connection in its place? */
static bool is_same(int fd, const struct endpoint *peer) {
    struct endpoint now;
    return sockinfo_peer(fd, &now) && now.port == peer->port && addr_compare(&now.addr, &peer->addr) == 0;
}

/* The kernel's answer first: it has written to that memory then, and says whether the connection is there at all. */
EXPORT int getpeername(int fd, struct sockaddr *address, socklen_t *length) {
    const struct endpoint *asked = client_active(&client) ? asked_shown(fd) : NULL;
    struct conn *c;
    if (!asked || fd_look(fd, &c) != FD_TCP || !readable(length, sizeof *length))
        return real_getpeername(fd, address, length);
    int family = c->family;
    struct endpoint peer = c->peer;
    socklen_t room = *length;
    int r = real_getpeername(fd, address, length);
    if (r == 0 && is_same(fd, &peer))
        show(asked, family, address, length, room);
    return r;
}
