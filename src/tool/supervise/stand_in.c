#include "tool/supervise/stand_in.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/sockinfo.h"
#include "tool/supervise/fastopen.h"
#include "tool/supervise/filter.h"
#include "tool/supervise/peer.h"

/* How much of a send that connects went out with the SYN: made once more, it would send that twice. */
static ssize_t sent_by(int fd) {
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    (void)getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
    return (ssize_t)(info.tcpi_bytes_sent - info.tcpi_bytes_retrans);
}

/* What the socket is in says how far the supervisor came. first: of a send, else NULL. */
static void answer(int listener, union desk_place *place, int fd, const struct fastopen *first) {
    enum tcp_state state = TCP_STATE_CLOSED;
    int family;
    bool mptcp, begun = false, blocking = sockinfo_blocking(fd) && !(first && first->flags & MSG_DONTWAIT);
    if (sockinfo_is_tcp(fd, &family, &mptcp) && sockinfo_state(fd, &state, NULL) == 0)
        begun = state != TCP_STATE_CLOSED && state != TCP_STATE_LISTEN;
    ssize_t sent = begun && first ? sent_by(fd) : 0;
    if (sent > 0)
        desk_answer(listener, place, fastopen_result(first, place->call.pid, sent), 0);
    else if (begun && !blocking)
        desk_answer(listener, place, -1, EINPROGRESS);
    else if (begun && !first && state != TCP_STATE_SYN_SENT && state != TCP_STATE_SYN_RECV)
        desk_answer(listener, place, 0, 0);
    else
        desk_continue(listener, place); /* a blocking call goes on waiting */
}

static void settle(int listener, union desk_place *place, struct peers *peers) {
    struct fastopen first;
    struct peer peer;
    const struct seccomp_notif *n = &place->call;
    bool sends = n->pid && fastopen_read(n, &first);
    bool plain = sends || (!filter_is_compat(n->data.arch) && n->data.nr == SYS_connect);
    int fd = plain && n->pid ? peer_descriptor(peers, n->pid, (int)n->data.args[0], &peer) : -1;
    if (fd >= 0 && desk_is_valid(listener, n->id))
        answer(listener, place, fd, sends ? &first : NULL);
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
