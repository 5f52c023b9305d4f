#include "tool/supervise/stand_in.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/sockinfo.h"
#include "tool/supervise/filter.h"
#include "tool/supervise/peer.h"

/* What the socket is in says how far the supervisor came. */
static void answer(int listener, union desk_place *place, int fd) {
    enum tcp_state state = TCP_STATE_CLOSED;
    int family;
    bool mptcp, begun = false, blocking = sockinfo_blocking(fd);
    if (sockinfo_is_tcp(fd, &family, &mptcp) && sockinfo_state(fd, &state, NULL) == 0)
        begun = state != TCP_STATE_CLOSED && state != TCP_STATE_LISTEN;
    if (begun && !blocking)
        desk_answer(listener, place, -1, EINPROGRESS);
    else if (begun && state != TCP_STATE_SYN_SENT && state != TCP_STATE_SYN_RECV)
        desk_answer(listener, place, 0, 0);
    else
        desk_continue(listener, place); /* a blocking connect goes on waiting */
}

static void settle(int listener, union desk_place *place, struct peers *peers) {
    struct peer peer;
    const struct seccomp_notif *n = &place->call;
    bool plain = !filter_is_compat(n->data.arch) && n->data.nr == SYS_connect;
    int fd = plain && n->pid ? peer_descriptor(peers, n->pid, (int)n->data.args[0], &peer) : -1;
    if (fd >= 0 && desk_is_valid(listener, n->id))
        answer(listener, place, fd);
    else
        desk_continue(listener, place);
    if (fd >= 0)
        close(fd);
}

void stand_in_for_desk(int listener, struct desk *desk) {
    struct peers peers;
    peers_init(&peers);
    for (unsigned i = 0; i < DESK_PLACES; i++)
        if (desk->place[i].call.id)
            settle(listener, &desk->place[i], &peers);
    peers_forget(&peers);
}

void stand_in_continue(int listener, struct desk *desk) {
    if (desk_take(listener, &desk->place[0]))
        desk_continue(listener, &desk->place[0]);
}
