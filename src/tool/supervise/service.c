#include "tool/supervise/service.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/kernel_constants.h"
#include "base/sys.h"
#include "client/match_cache.h"
#include "client/sockinfo.h"
#include "client/track.h"
#include "close/closing.h"
#include "connect/connect.h"
#include "connect/prepare.h"
#include "tool/supervise/bounded.h"
#include "tool/supervise/filter.h"
#include "tool/supervise/patience.h"

enum { SLOW_NS = 200000, SLOW_MIN = 2 };

/* One call. The answer is result and error, unless the kernel is to make the call itself. */
struct served {
    struct call call; /* first: connect/ hands it back to make */
    struct service *service;
    struct worker *worker;
    union desk_place *place;
    struct sockaddr_storage address;
    struct endpoint destination;
    struct client client;
    struct peer peer;
    int number; /* the client's, of the socket whose duplicate is call.fd */
    uint64_t cookie;
    bool unspec; /* the address is AF_UNSPEC: the end of a connection */
    bool blocking;
    bool proceed;   /* in the kernel */
    uint64_t began; /* CLOCK_MONOTONIC, ns */
    ssize_t result;
    int error;
};

struct client service_client(const struct service *s, const struct peer *peer) {
    struct client c = s->client;
    c.pid = peer->pid;
    c.tid = peer->tid;
    c.user = peer->user;
    c.attached = true;
    client_name(&c, peer->program, peer->names);
    return c;
}

/* What acting for the process has taught about the kernel, and about this process. */
static void learn(struct service *s, const struct client *c) {
    if (c->no_port_range)
        __atomic_store_n(&s->client.no_port_range, true, __ATOMIC_RELAXED);
    if (c->no_port_works)
        __atomic_store_n(&s->client.no_port_works, true, __ATOMIC_RELAXED);
    if (c->bind_denied)
        __atomic_store_n(&s->client.bind_denied, true, __ATOMIC_RELAXED);
    if (!c->attached) /* it had its chance, and did not take it: the next call shall */
        __atomic_store_n(&s->attached[c->pid % ATTACHED], 0, __ATOMIC_RELAXED);
}

/* One call of each process finds it unattached, and writes the event. */
static bool may_attach(struct service *s, uint32_t pid) {
    uint32_t *last = &s->attached[pid % ATTACHED];
    return __atomic_load_n(last, __ATOMIC_RELAXED) != pid && __atomic_exchange_n(last, pid, __ATOMIC_RELAXED) != pid;
}

/* connect's arguments, wherever this ABI has them. */
static bool read_arguments(const struct seccomp_notif *n, uint64_t out[3]) {
    uint32_t narrow[3];
    if (filter_is_socketcall(n->data.arch, n->data.nr)) {
        if (!peer_read(n->pid, n->data.args[1] & UINT32_MAX, narrow, sizeof narrow))
            return false;
        for (unsigned i = 0; i < 3; i++)
            out[i] = narrow[i];
        return true;
    }
    memcpy(out, n->data.args, 3 * sizeof *out);
    return filter_is_compat(n->data.arch) || n->data.nr == SYS_connect;
}

/* The same of a send that connects. */
static bool read_send(struct served *v, uint64_t out[3]) {
    struct fastopen *first = &v->worker->first;
    if (!fastopen_read(&v->place->call, first))
        return false;
    v->call.sends = true;
    v->call.flags = first->flags;
    out[0] = (uint64_t)first->fd;
    out[1] = first->name;
    out[2] = first->name_length;
    return true;
}

/* The call as far as memory says. False: nothing for us. */
static bool read_call(struct served *v) {
    const struct seccomp_notif *n = &v->place->call;
    uint64_t argument[3];
    if (n->pid == 0 || !client_asks(&v->service->client) || (!read_arguments(n, argument) && !read_send(v, argument)))
        return false;
    uint32_t length = (uint32_t)argument[2];
    if (length < sizeof v->address.ss_family || length > sizeof v->address ||
        !peer_read(n->pid, argument[1], &v->address, length))
        return false;
    v->call.fd = (int)argument[0];
    v->call.address = (const struct sockaddr *)&v->address;
    v->call.length = length;
    v->unspec = v->address.ss_family == AF_UNSPEC && !v->call.sends;
    return v->unspec || endpoint_from_sockaddr(&v->destination, &v->address, length);
}

/* Is it in our network namespace? Elsewhere its sources may be others', and its end is told to others. */
static bool is_ours(const struct served *v, int fd) {
    uint64_t netns = 0;
    socklen_t length = sizeof netns;
    return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &netns, &length) != 0 || netns == v->service->client.netns;
}

void service_turn(struct worker *w) {
    while (!w->has_turn) {
        w->has_turn = sem_wait(&w->service->turn) == 0;
        if (!w->has_turn)
            bounded_rest(&w->timer);
    }
}

static void give_turn(struct worker *w) {
    if (w->has_turn)
        (void)sem_post(&w->service->turn);
    w->has_turn = false;
}

/* Of this thread, for a time: then its timer must not interrupt that. */
static void before_wait(struct worker *w) {
    give_turn(w);
    bounded_rest(&w->timer);
}

/* Blocking connects that had to wait for their peer are followed by more of them. */
static int connect_blocking(struct served *v) {
    uint64_t began = clock_ns(CLOCK_MONOTONIC);
    uint32_t slow = __atomic_load_n(&v->service->slow, __ATOMIC_RELAXED);
    if (slow >= SLOW_MIN) /* a single one may have lost its processor */
        give_turn(v->worker);
    int r = bounded_connect(&v->worker->timer, v->call.fd, v->call.address, v->call.length), error = errno;
    slow = clock_ns(CLOCK_MONOTONIC) - began < SLOW_NS ? 0 : slow < SLOW_MIN ? slow + 1 : slow;
    __atomic_store_n(&v->service->slow, slow, __ATOMIC_RELAXED);
    errno = error;
    return r;
}

static ssize_t make_connect(const struct call *call) {
    struct served *v = (struct served *)(uintptr_t)call;
    int r = v->blocking ? connect_blocking(v) : connect(call->fd, call->address, call->length);
    v->proceed = r < 0 && errno == EINTR;
    return r;
}

/* The SYN is out, perhaps with data in it; the client's own send would have waited for its answer, and then have sent
 * the rest. */
static ssize_t finish_send(struct served *v, ssize_t sent) {
    struct pollfd p = {.fd = v->call.fd, .events = POLLOUT};
    const struct seccomp_notif *n = &v->place->call;
    int error = 0;
    if (poll(&p, 1, 0) == 0 && !v->client.no_wait) {
        uint64_t limit = patience_limit(v->call.fd);
        before_wait(v->worker);
        (void)patience_ended(v->service->listener, n->id, n->pid, v->call.fd, limit ? v->began + limit : UINT64_MAX);
    }
    if (get_option(v->call.fd, SOL_SOCKET, SO_ERROR, &error) == 0 && error) {
        errno = error;
        return -1;
    }
    if ((size_t)sent == v->worker->first.size)
        return sent;
    ssize_t rest = fastopen_send(&v->worker->first, v->call.fd, NULL, 0, (size_t)sent);
    return rest > 0 ? sent + rest : sent;
}

static ssize_t make_send(const struct call *call) {
    struct served *v = (struct served *)(uintptr_t)call;
    struct fastopen *first = &v->worker->first;
    uint32_t tid = v->place->call.pid;
    ssize_t sent = fastopen_send(first, call->fd, call->address, call->length, 0);
    bool waits = v->blocking && !(call->flags & MSG_DONTWAIT);
    if (sent >= 0)
        return waits ? fastopen_result(first, tid, finish_send(v, sent))
                     : fastopen_result_of_all(first, tid, call->fd, sent);
    /* Nothing was sent, the connect may have begun: the client's own call goes on from there, and waits, or has
     * SIGPIPE. */
    v->proceed = errno == EPIPE || (waits && (errno == EINPROGRESS || errno == EALREADY || errno == EAGAIN));
    errno = errno == EINPROGRESS && waits ? EINTR : errno;
    return -1;
}

/* No rule: the kernel makes it. It is watched all the same. */
static ssize_t make_nothing(const struct call *call) {
    struct served *v = (struct served *)(uintptr_t)call;
    v->proceed = true;
    errno = EINPROGRESS;
    return -1;
}

static void disconnect(struct served *v) {
    struct conn *c = conn_hold(&v->client, v->call.fd);
    if (!c) {
        v->proceed = true;
        return;
    }
    closing_disconnect(&v->client, v->call.fd, c);
    v->result = make_connect(&v->call);
    v->error = errno;
    if (v->result == 0)
        prepare_disconnected(v->call.fd, c);
    conn_release(&v->client, c);
}

static void connect_spread_for(struct served *v) {
    struct match match;
    bool matched = match_cache_find(&v->client, &v->destination, &match) && match.matched;
    v->call.make = !matched ? make_nothing : v->call.sends ? make_send : make_connect;
    v->blocking = sockinfo_blocking(v->call.fd);
    v->began = clock_ns(CLOCK_MONOTONIC);
    if (v->blocking && !v->worker->timer.usable)
        v->call.make = make_nothing;
    struct settings now = client_settings(&v->client);
    v->result = connect_spread(&v->client, &now, &v->call, &v->destination);
    v->error = errno;
}

/* The client's number still stands for the socket that was connected. */
static bool is_still(struct served *v) {
    struct peer peer;
    int fd = peer_descriptor(&v->service->peers, v->place->call.pid, v->number, &peer);
    bool same = fd >= 0 && sockinfo_cookie(fd) == v->cookie;
    if (fd >= 0)
        close(fd);
    return same;
}

/* True: that time has come. False: the connect is over, or a signal or the client's end is in the way. */
static bool wait_until(struct served *v, uint64_t until) {
    const struct seccomp_notif *n = &v->place->call;
    before_wait(v->worker);
    return patience_ended(v->service->listener, n->id, n->pid, v->call.fd, until);
}

/* The number is another socket's by now, which the kernel's own call would connect. */
static void finish_here(struct served *v) {
    struct pollfd p = {.fd = v->call.fd, .events = POLLOUT};
    int error = 0;
    (void)wait_until(v, UINT64_MAX);
    v->proceed = false;
    v->error = EINTR;
    v->result = -1;
    if (poll(&p, 1, 0) == 0)
        return;
    v->result = get_option(v->call.fd, SOL_SOCKET, SO_ERROR, &error) == 0 && error ? -1 : 0;
    v->error = error;
    if (v->result == 0 && v->call.sends) {
        v->result = fastopen_send(&v->worker->first, v->call.fd, NULL, 0, 0);
        v->error = errno;
        v->result = fastopen_result(&v->worker->first, v->place->call.pid, v->result);
    }
}

/* The SYN is out, and the kernel is to wait for the answer, with the client's own call; but not as long as the client
 * wants it to, which only some threads may wait for here. */
static void wait_for_answer(struct served *v) {
    if (!v->proceed || v->result >= 0 || v->error != EINTR)
        return;
    uint64_t limit = v->client.no_wait ? 0 : patience_limit(v->call.fd);
    if (limit && wait_until(v, v->began + limit)) {
        v->proceed = false;
        v->error = EINPROGRESS;
    } else if (!is_still(v)) {
        finish_here(v);
    }
}

/* For a rule that says so. */
static void waits(struct client *client) {
    before_wait(((struct served *)(void *)((char *)client - offsetof(struct served, client)))->worker);
}

/* call.fd is the duplicate. */
static void serve(struct served *v) {
    struct service *s = v->service;
    v->client = service_client(s, &v->peer);
    v->client.attached = !may_attach(s, v->peer.pid);
    v->client.no_wait = __atomic_load_n(&s->busy, __ATOMIC_RELAXED) > s->threads / 2;
    v->client.waits = waits;
    v->cookie = sockinfo_cookie(v->call.fd);
    bool lent = sockets_lend(&s->sockets, &v->client, v->cookie, v->call.fd);
    if (!conn_of(&v->client, v->call.fd))
        v->proceed = true; /* no TCP */
    else if (v->unspec)
        disconnect(v);
    else
        connect_spread_for(v);
    if (lent)
        sockets_return(&s->sockets, v->cookie, v->call.fd);
    else
        sockets_keep(&s->sockets, v->cookie, v->call.fd, &v->peer);
    learn(s, &v->client);
}

void service_call(struct worker *w) {
    struct service *s = w->service;
    union desk_place *place = w->place;
    struct served v = {.service = s, .worker = w, .place = place, .proceed = true};
    uint64_t id = place->call.id;
    __atomic_fetch_add(&s->busy, 1, __ATOMIC_RELAXED);
    if (read_call(&v)) {
        int fd = peer_descriptor(&s->peers, place->call.pid, v.call.fd, &v.peer);
        v.number = v.call.fd;
        v.call.fd = fd;
        if (fd >= 0 && desk_is_valid(s->listener, id) && is_ours(&v, fd)) {
            v.proceed = false;
            serve(&v);
            wait_for_answer(&v);
        }
        if (fd >= 0)
            close(fd); /* before the answer: the client may close its own at once */
    }
    if (v.proceed)
        desk_continue(s->listener, place);
    else
        desk_answer(s->listener, place, v.result, v.result < 0 ? v.error : 0);
    __atomic_fetch_sub(&s->busy, 1, __ATOMIC_RELAXED);
}
