#include "close/look.h"

#include <errno.h>

#include "client/sockinfo.h"

/* The kernel reads the state before it waits for the socket's lock (tcp_get_info): a FIN_WAIT_2 may be a TIME-WAIT by
 * the time it answers. twice: that would matter. */
static int look_settled(int fd, enum tcp_state *phase, bool twice) {
    int r = sockinfo_state(fd, phase, NULL);
    return r == 0 && twice && *phase != TCP_STATE_CLOSED ? sockinfo_state(fd, phase, NULL) : r;
}

/* Where one peek does not say it all, or may not be made. */
__attribute__((noinline)) static void look_closely(const struct conn *c, int fd, struct fate_facts *f, bool identified,
                                                   bool plain) {
    uint32_t flags = conn_flags(c);
    int r = look_settled(fd, &f->phase, identified);
    if (r != 0)
        f->phase = TCP_STATE_UNKNOWN;
    if (r == -EBADF)
        return;
    if (f->mptcp && c->token != MPTCP_UNKNOWN) {
        enum tcp_state subflow;
        sockinfo_peek(fd, &subflow, &f->unread); /* SIOCINQ says 1 after shutdown(SHUT_RD) */
        (void)sockinfo_mptcp_phase(c->token, &f->phase);
        return;
    }
    /* A peek sees the queue, and a FIN that came meanwhile. MPTCP before Linux 5.16: the subflow stays ESTABLISHED when
     * the peer closes; only reading shows its DATA_FIN. */
    enum tcp_state as_seen = f->phase;
    bool open =
        f->phase == TCP_STATE_ESTABLISHED || f->phase == TCP_STATE_FIN_WAIT_1 || f->phase == TCP_STATE_FIN_WAIT_2;
    if ((plain || f->mptcp) && f->phase == TCP_STATE_ESTABLISHED && !(flags & CONN_SHUT))
        sockinfo_peek(fd, &f->phase, &f->unread);
    else if (open && f->fallback)
        sockinfo_peek(fd, &as_seen, &f->unread);
    else if (open)
        f->unread = sockinfo_unread(fd);
}

void look_at(const struct conn *c, int fd, struct fate_facts *f, bool identified, bool sure) {
    bool plain = sure && !(conn_flags(c) & (CONN_MPTCP | CONN_ULP | CONN_SHUT)) && !f->others;
    if (plain && c->phase == CONN_CONNECTED)
        sockinfo_peek(fd, &f->phase, &f->unread);
    else
        look_closely(c, fd, f, identified, plain);
}
