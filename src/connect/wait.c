#include "connect/wait.h"

#include <errno.h>

#include "client/client.h"
#include "client/track.h"
#include "connect/endpoints.h"
#include "connect/limit.h"
#include "connect/sources.h"
#include "base/sys.h"

enum { WAIT_STEP_NS = 2000000 };

/* The rule's wait, or less where the client said with SO_SNDTIMEO how long a connect may take. ns. */
static uint64_t patience(struct connecting *k) {
    uint64_t wait = (uint64_t)k->match->wait_ms * 1000000u;
    if (wait == 0 || !limit_look(k))
        return 0;
    uint64_t left = limit_left(k);
    return left != 0 && left < wait ? left : wait;
}

/* False: a signal came, also while this thread waited for a processor after its sleep: unlike nanosleep, ppoll says so.
 * The socket is known again by its cookie, too: a client may close it behind libc's back. */
static bool rest(struct client *client, struct connecting *k) {
    struct {
        long s, ns;
    } pause = {0, WAIT_STEP_NS};
    uint32_t serial = conn_serial(k->conn);
    conn_release(client, k->conn);
    if (client->waits)
        client->waits(client);
    bool whole = sys_call5(SYS_ppoll, 0, 0, &pause, 0, 0) == 0;
    connecting_look_again(k, serial);
    if (k->number == NUMBER_OURS && !limit_is_same(k))
        k->number = NUMBER_CLOSED;
    k->now = clock_ns(CLOCK_MONOTONIC);
    return whole;
}

/* A signal that comes while a source is tried, and not in the sleep, is not seen: no call tells afterwards that a
 * handler has run, and one that is kept until the sleep would not interrupt the connect if that finds a port and then
 * waits for its peer. A lone one may then leave the whole wait to the client, which is bounded. */
enum step wait_for_source(struct client *client, struct connecting *k) {
    uint64_t began = k->now, wait = k->full && k->way != WAY_OWN && !client->no_wait ? patience(k) : 0;
    unsigned attempts = k->attempts;
    enum step step = STEP_NEXT;
    while (step == STEP_NEXT && k->now - began < wait) {
        bool whole = rest(client, k);
        if (k->number != NUMBER_OURS) {
            k->result = -1;
            k->error = EADDRNOTAVAIL;
            step = STEP_DONE;
            break;
        }
        /* A signal ends the wait, and the client gets what it would have got without one: its handler may want it so.
         */
        if (!whole)
            break;
        if (k->limit)
            limit_set_left(k);
        k->attempts = k->full = 0;
        k->seen &= ~(unsigned)SEEN_PROBED;
        k->report->filled = false;
        step = sources_try(client, k);
        if (step == STEP_NEXT && k->match->n_also)
            step = endpoints_after(client, k, false);
        attempts += k->attempts;
        if (step == STEP_NEXT && k->full == 0)
            break;
    }
    k->attempts = attempts;
    return step;
}
