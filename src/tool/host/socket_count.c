#include "tool/host/socket_count.h"

#include <errno.h>
#include <sys/random.h>

#include "tool/common/time_text.h"

static void add_listener(const struct dump_socket *s, void *context) {
    quads_note_listener(context, &s->local, s->local_port, s->v6_only);
}

static void add_socket(const struct dump_socket *s, void *context) {
    quads_add(context, s);
}

int quads_take(struct quads_table *t, struct quads_listeners *listeners, const struct policy_target *to) {
    struct dump_filter outbound = {.peer = to, .without = listeners->first}, inbound = {.local = to};
    if (getrandom(&t->seed, sizeof t->seed, GRND_NONBLOCK) < 0)
        t->seed = time_now_us();
    int error = dump_sockets(QUADS_LISTENERS, add_listener, listeners);
    quads_listeners_ready(listeners);
    outbound.n_without = listeners->n_first;
    if (error == 0)
        error = dump_sockets_where(QUADS_STATES, t->inbound ? &inbound : &outbound, add_socket, t);
    return error == 0 && (t->no_memory || listeners->no_memory) ? -ENOMEM : error;
}
