#include "close/fate.h"

#include <errno.h>

/* The socket still has a sending half, or had one until our shutdown. */
static enum fate fate_of_open(const struct fate_facts *f) {
    if (f->linger_reset || f->unread)
        return FATE_RESET;
    /* No FIN_WAIT2, and so no TIME-WAIT: gone with the ACK of our FIN, even if the peer's FIN comes along with it. */
    if (f->linger2_off && f->phase != TCP_STATE_CLOSING)
        return FATE_NONE;
    return FATE_TIME_WAIT;
}

/* TCP_CLOSE looks the same after a reset, after the peer's FIN and ours, and after ours and the peer's. What shutdown
 * saw tells them apart, but for a reset between that shutdown and now. */
static struct fate_verdict fate_of_closed(const struct fate_facts *f) {
    struct fate_verdict v = {.fate = f->connected ? FATE_RESET : FATE_NONE, .decided_by = DECIDED_BY_CLOSE};
    switch (f->shutdown_phase) {
    case TCP_STATE_UNKNOWN:
    case TCP_STATE_CLOSED:
        v.ask = f->others; /* another process, or an earlier image of this one, may have shut it down */
        break;
    case TCP_STATE_CLOSE_WAIT:
    case TCP_STATE_LAST_ACK: /* another process had shut it down before us */
        v.fate = FATE_PASSIVE;
        v.decided_by = DECIDED_BY_SHUTDOWN;
        break;
    case TCP_STATE_SYN_SENT: /* there shutdown only breaks the attempt off */
    case TCP_STATE_LISTEN:
        v.fate = FATE_NONE;
        break;
    default:
        v.fate = FATE_TIME_WAIT;
        v.decided_by = DECIDED_BY_SHUTDOWN;
        v.ask = true;
        break;
    }
    return v;
}

struct fate_verdict fate_decide(const struct fate_facts *f) {
    struct fate_verdict v = {.fate = FATE_NONE, .decided_by = DECIDED_BY_CLOSE, .ask = f->others || f->mptcp};
    if (f->repair) /* tcp_close() disconnects, in whatever state */
        return v;
    /* What unread data and TCP_LINGER2 do then depends on the kernel: on 6.18, nothing, but for both together. */
    v.ask |= f->fallback && (f->unread || f->linger2_off);
    switch (f->phase) {
    case TCP_STATE_ESTABLISHED:
    case TCP_STATE_SYN_RECV:
        v.fate = fate_of_open(f);
        break;
    case TCP_STATE_FIN_WAIT_1:
    case TCP_STATE_FIN_WAIT_2:
    case TCP_STATE_CLOSING:
        v.fate = fate_of_open(f);
        v.decided_by = v.fate == FATE_TIME_WAIT ? DECIDED_BY_SHUTDOWN : DECIDED_BY_CLOSE;
        /* If the peer's FIN still comes before the close, there is a TIME-WAIT all the same. */
        v.ask |= v.fate != FATE_TIME_WAIT;
        break;
    case TCP_STATE_TIME_WAIT:
        v.fate = FATE_TIME_WAIT;
        v.decided_by = DECIDED_BY_SHUTDOWN;
        break;
    case TCP_STATE_CLOSE_WAIT:
    case TCP_STATE_LAST_ACK:
        v.fate = f->unread || (f->linger_reset && f->phase == TCP_STATE_CLOSE_WAIT) ? FATE_RESET : FATE_PASSIVE;
        break;
    case TCP_STATE_CLOSED:
        v = fate_of_closed(f);
        v.ask |= f->mptcp;
        break;
    case TCP_STATE_SYN_SENT:
    case TCP_STATE_LISTEN:
        v.ask = false;
        break;
    default:
        v.ask = true;
        break;
    }
    return v;
}

enum fate fate_from_lookup(int found, const struct diag_answer *answer, enum fate first, bool lingers) {
    if (found == -ENOENT)
        return first == FATE_TIME_WAIT || first == FATE_SHARED ? FATE_RESET : first;
    if (found != 0)
        return first;
    switch (tcp_state_from_kernel(answer->state)) {
    case TCP_STATE_TIME_WAIT:
        return FATE_TIME_WAIT;
    case TCP_STATE_FIN_WAIT_1:
    case TCP_STATE_FIN_WAIT_2:
    case TCP_STATE_CLOSING:
        /* Shut down, and another process still has it: the last to close it records that. */
        return answer->inode != 0 && !lingers ? FATE_SHARED : FATE_TIME_WAIT;
    case TCP_STATE_LAST_ACK:
        return FATE_PASSIVE;
    case TCP_STATE_ESTABLISHED:
    case TCP_STATE_SYN_SENT:
    case TCP_STATE_SYN_RECV:
    case TCP_STATE_CLOSE_WAIT:
        return lingers ? first : FATE_SHARED;
    default:
        return FATE_NONE;
    }
}
