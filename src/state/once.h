/* once.h - a TIME-WAIT is told once, though several processes may hold its socket.
 *
 * When our FIN and the peer's have both been sent, the TIME-WAIT exists and the socket is merely CLOSED: nothing in the
 * kernel says any more how many processes still have a descriptor of it, and each would log the same end. So whoever is
 * about to log one, while others may hold the socket, asks here first.
 *
 * A direct-mapped table of words: half a hash of (namespace, quadruplet), half the time of telling. One
 * compare-and-swap each; no lock. What a word says may be lost to another quadruplet of the same place: then one end is
 * told twice. Async-signal-safe. */
#ifndef CONNSPREAD_STATE_ONCE_H
#define CONNSPREAD_STATE_ONCE_H

#include "state/state.h"

/* No TIME-WAIT lasts longer: 60 s, and its timers fire in bursts. What was told before that is another connection's. */
#define ONCE_NS ((uint64_t)62 * 1000000000u)

/* True: nobody has told of this connection's end, and from now on somebody has. Ports in host byte order. since: what
 * was told before then was another connection's (a time at which this one had not ended). Times: CLOCK_MONOTONIC, ns.
 */
bool once_first(const struct state *s, uint64_t netns, const struct addr *local, uint16_t local_port,
                const struct endpoint *peer, uint64_t since, uint64_t now);

#endif
