#include "close/verify.h"

#include <errno.h>

#include "client/client.h"
#include "client/sockinfo.h"
#include "client/process.h"
#include "close/deferred.h"
#include "close/peer.h"
#include "base/sys.h"
#include "state/control.h"

/* After this long a TIME-WAIT that shutdown made may have come and gone. */
#define TIME_WAIT_NS ((uint64_t)59 * 1000000000u)

/* A kernel without tcp_diag says -ENOENT to every question; so it is asked once whether it knows any. What keeps it
 * from being asked (EMFILE, a client that closes our descriptor) may pass. */
static bool kernel_answers(void) {
    enum { UNTRIED, ANSWERS, SILENT };
    static uint32_t kept;
    uint32_t known = __atomic_load_n(&kept, __ATOMIC_RELAXED);
    int works = known == UNTRIED ? diag_works() : -1;
    if (works >= 0) {
        known = works ? ANSWERS : SILENT;
        __atomic_store_n(&kept, known, __ATOMIC_RELAXED);
    }
    return known != SILENT;
}

static int lookup(const struct closing *c, struct diag_answer *answer) {
    const struct conn *conn = c->conn;
    if (conn->local_port == 0)
        return -EINVAL;
    const struct endpoint *peer = peer_of(c);
    struct tuple tuple = tuple_of(&conn->source, conn->local_port, &peer->addr, peer->port);
    tuple.interface = c->interface;
    return diag_lookup_ending(-1, &tuple, c->verdict.fate == FATE_TIME_WAIT, answer);
}

__attribute__((noinline)) void verify_identify(struct closing *c) {
    c->cookie = sockinfo_cookie(c->fd);
}

__attribute__((noinline)) void verify_prepare(struct closing *c) {
    c->interface = sockinfo_interface(c->fd);
    /* The socket that is there now is not the TIME-WAIT that its shutdown left: the cookie was drawn too late. */
    if (c->facts.phase == TCP_STATE_CLOSED || c->facts.phase == TCP_STATE_UNKNOWN)
        c->cookie = 0;
    if (!kernel_answers())
        c->verdict.ask = false;
}

/* An MPTCP connection that is not over yet knows more than its subflow. */
static bool ask_mptcp(const struct closing *c, enum fate *fate) {
    struct diag_answer answer;
    uint32_t token = c->conn->token;
    if (!c->facts.mptcp || token == MPTCP_UNKNOWN || diag_lookup_mptcp(token, &answer) != 0 ||
        tcp_state_from_kernel(answer.state) == TCP_STATE_CLOSED)
        return false;
    *fate = fate_from_lookup(0, &answer, c->verdict.fate, false);
    return true;
}

static bool ask_tcp(const struct closing *c, enum fate *fate) {
    struct diag_answer answer = {0};
    enum fate first = c->verdict.fate;
    bool lingers = c->facts.mptcp && (!c->facts.others || c->conn->token != MPTCP_UNKNOWN);
    int found = lookup(c, &answer);
    if (found == 0 && c->cookie && answer.cookie != c->cookie && !(c->facts.mptcp || c->facts.fallback))
        found = -ENOENT; /* the quadruplet is another connection's by now */
    if (c->facts.fallback)
        answer.inode = 0; /* it keeps one that says nothing */
    if (found != 0 && (found != -ENOENT || c->forked))
        return false;
    if (lingers && found == 0 && tcp_state_from_kernel(answer.state) == TCP_STATE_ESTABLISHED) {
        /* No answer yet: an MPTCP subflow before the peer's close, or in the midst of another thread's. */
        *fate = c->raced ? FATE_SHARED : *fate;
        return c->raced;
    }
    if (found == -ENOENT && c->facts.phase == TCP_STATE_CLOSED && first == FATE_TIME_WAIT &&
        clock_ns(CLOCK_MONOTONIC) - c->conn->shutdown_ns >= TIME_WAIT_NS)
        return false; /* too late to ask */
    *fate = fate_from_lookup(found, &answer, first, lingers);
    /* No FIN_WAIT2: gone with the ACK that is to come. What MPTCP has fallen back to is closed at once only where
     * something was unread; else it is shut down, and stays. */
    if (*fate == FATE_TIME_WAIT && c->facts.linger2_off && (!c->facts.fallback || c->facts.unread) &&
        tcp_state_from_kernel(answer.state) == TCP_STATE_FIN_WAIT_1)
        *fate = FATE_NONE;
    return true;
}

static enum fate ask(const struct closing *c, enum verified *verified) {
    enum fate fate = c->verdict.fate;
    *verified = ask_mptcp(c, &fate) || ask_tcp(c, &fate) ? VERIFIED_TRUE : VERIFIED_FALSE;
    return fate;
}

/* A thread that is in a call on the socket has it, too, and it ends when that returns. So how often to ask again
 * whether it is really shared. */
static int tries_of(const struct closing *c) {
    if (c->raced || !c->facts.others)
        return 4;
    return process_single_threaded() ? 0 : 2;
}

/* If that call is a close, it may be the last to have it, and comes by our note. */
static enum fate ask_those_who_close(struct closing *c, enum verified *verified) {
    uint64_t note = deferred_leave(c);
    enum fate fate = ask(c, verified);
    return fate != FATE_SHARED && !deferred_withdraw(note) ? FATE_SHARED : fate;
}

static enum fate counted(const struct closing *c, enum fate fate) {
    enum arm arm = (enum arm)c->conn->arm;
    state_count(&c->client->state, arm, COUNT_VERIFIED);
    /* Where the kernel reported the close, there was no verdict before. */
    if (fate != c->verdict.fate && fate != FATE_SHARED && c->via != VIA_KERNEL)
        state_count(&c->client->state, arm, COUNT_MISMATCH);
    return fate;
}

__attribute__((noinline)) enum fate verify_fate(struct closing *c, enum verified *verified) {
    enum fate fate = ask(c, verified);
    int tries = fate == FATE_SHARED ? tries_of(c) : 0;
    for (int left = tries; left > 0 && fate == FATE_SHARED; left--) {
        (void)sys_call0(SYS_sched_yield);
        fate = ask(c, verified);
    }
    if (tries > 0 && fate == FATE_SHARED)
        fate = ask_those_who_close(c, verified);
    return counted(c, fate);
}

enum fate verify_again(const struct closing *c, enum verified *verified) {
    return counted(c, ask(c, verified));
}
