/* fate.h - what becomes of a connection when it is closed: a pure function of what is known just before.
 *
 * The table it encodes was measured (src/DESIGN.md, "What a close does"; RFC 9293 3.6, RFC 2525 2.17). */
#ifndef CONNSPREAD_CLOSE_FATE_H
#define CONNSPREAD_CLOSE_FATE_H

#include <stdbool.h>

#include "net/diag.h"
#include "state/event.h"

struct fate_facts {
    enum tcp_state phase;          /* just before the close */
    enum tcp_state shutdown_phase; /* just before our first shutdown(SHUT_WR); TCP_STATE_UNKNOWN: there was none */
    bool connected;                /* the handshake is known to have been done, or nothing is known of it */
    bool unread;                   /* data in the receive queue */
    bool linger_reset;             /* SO_LINGER {1, 0} */
    bool linger2_off;              /* TCP_LINGER2 < 0 */
    bool repair;                   /* TCP_REPAIR */
    bool mptcp;
    bool fallback; /* an MPTCP socket whose connection is plain TCP */
    bool others;   /* another process may hold the socket too */
};

struct fate_verdict {
    enum fate fate;
    enum decided_by decided_by;
    bool ask; /* only the kernel can tell: look the quadruplet up after the close */
};

struct fate_verdict fate_decide(const struct fate_facts *facts);

/* What the lookup just after the close says. found: diag_lookup's result. first: the verdict before. lingers: the
 * subflow of an MPTCP connection that no other process holds stays ESTABLISHED until the peer has closed too, so
 * finding it so says nothing. */
enum fate fate_from_lookup(int found, const struct diag_answer *answer, enum fate first, bool lingers);

#endif
