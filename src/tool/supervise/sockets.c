#include "tool/supervise/sockets.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/sys.h"
#include "client/open_table.h"
#include "client/track.h"

void sockets_init(struct sockets *s, bool watched) {
    memset(s->bucket, 0, sizeof s->bucket);
    pthread_mutex_init(&s->lock, NULL);
    s->watched = watched;
}

static struct known_socket **place_of(struct sockets *s, uint64_t cookie) {
    struct known_socket **at = &s->bucket[cookie % SOCKET_BUCKETS];
    while (*at && (*at)->cookie != cookie)
        at = &(*at)->next;
    return at;
}

bool sockets_lend(struct sockets *s, struct client *client, uint64_t cookie, int fd) {
    pthread_mutex_lock(&s->lock);
    struct known_socket *known = *place_of(s, cookie);
    struct conn *conn = known ? known->conn : NULL;
    if (known) {
        conn_ref(conn);
        known->lent++;
    }
    pthread_mutex_unlock(&s->lock);
    if (conn)
        conn_install(client, fd, conn);
    return conn != NULL;
}

/* Out of the table of descriptors, with its reference; NULL: it was not in it. */
static struct conn *withdraw(int fd) {
    struct conn *conn;
    fd_word *word = fd_word_of(fd);
    if (fd_closing(word, &conn) != FD_TCP) {
        fd_set_unknown(fd);
        return NULL;
    }
    fd_closed(word);
    return conn;
}

/* Its end will not be reported. */
static void drop(struct conn *conn) {
    if (!conn_unref(conn))
        return;
    conn_uncount(conn, false, clock_ns(CLOCK_MONOTONIC));
    open_table_closed(conn);
    conn_free(conn);
}

static bool add(struct sockets *s, uint64_t cookie, struct conn *conn, const struct peer *peer) {
    struct known_socket **first = &s->bucket[cookie % SOCKET_BUCKETS];
    struct known_socket *known = *place_of(s, cookie) ? NULL : malloc(sizeof *known);
    if (!known)
        return false;
    *known = (struct known_socket){
        .next = *first, .cookie = cookie, .conn = conn, .peer = *peer, .kept_ns = clock_ns(CLOCK_MONOTONIC)};
    *first = known;
    return true;
}

void sockets_keep(struct sockets *s, uint64_t cookie, int fd, const struct peer *peer) {
    struct conn *conn = withdraw(fd);
    if (!conn)
        return;
    pthread_mutex_lock(&s->lock);
    bool kept = s->watched && cookie && add(s, cookie, conn, peer);
    pthread_mutex_unlock(&s->lock);
    if (!kept) /* known already: this was one more reference to the same record */
        drop(conn);
}

/* The reference goes first: once the record is not lent any more, another thread may give it back. */
void sockets_return(struct sockets *s, uint64_t cookie, int fd) {
    struct conn *conn = withdraw(fd);
    pthread_mutex_lock(&s->lock);
    struct known_socket *known = *place_of(s, cookie);
    if (conn)
        drop(conn);
    if (known)
        known->lent--;
    pthread_mutex_unlock(&s->lock);
}

struct known_socket *sockets_take(struct sockets *s, uint64_t cookie) {
    pthread_mutex_lock(&s->lock);
    struct known_socket **at = place_of(s, cookie), *known = *at;
    if (known)
        *at = known->next;
    pthread_mutex_unlock(&s->lock);
    return known;
}

void sockets_found(struct sockets *s, uint64_t cookie, uint64_t dump, const struct tuple *where, bool is_held) {
    pthread_mutex_lock(&s->lock);
    struct known_socket *known = *place_of(s, cookie);
    if (known) {
        known->where = *where;
        known->found = is_held ? dump : known->found;
    }
    pthread_mutex_unlock(&s->lock);
}

struct known_socket *sockets_take_lost(struct sockets *s, unsigned *from, uint64_t dump, uint64_t began_ns) {
    struct known_socket *lost = NULL;
    pthread_mutex_lock(&s->lock);
    for (; *from < SOCKET_BUCKETS && !lost; *from += !lost) {
        struct known_socket **at = &s->bucket[*from];
        while (*at && ((*at)->lent || (*at)->found == dump || (*at)->kept_ns > began_ns))
            at = &(*at)->next;
        lost = *at;
        if (lost)
            *at = lost->next;
    }
    pthread_mutex_unlock(&s->lock);
    return lost;
}
