#include "tool/host/socket_users.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/common/strbuf.h"
#include "tool/host/dump.h"
#include "tool/host/socket_table.h"

enum { FIRST_SOCKETS = 256 };

/* --- /proc --- */

/* "socket:[123]" in /proc/PID/fd; 0: no socket. */
static uint32_t inode_of_link(int folder, const char *name) {
    char text[64];
    ssize_t n = readlinkat(folder, name, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    return strncmp(text, "socket:[", 8) == 0 ? (uint32_t)strtoul(text + 8, NULL, 10) : 0;
}

static void read_name(char out[SOCKET_USER_NAME], const char *pid) {
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
    FILE *file = fopen(path, "re");
    if (!file || !fgets(out, SOCKET_USER_NAME, file))
        out[0] = 0;
    if (file)
        (void)fclose(file);
    out[strcspn(out, "\n")] = 0;
}

static void look_into(const char *pid, socket_found *found, void *context) {
    char path[64], name[SOCKET_USER_NAME];
    (void)snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
    DIR *folder = opendir(path);
    if (!folder)
        return;
    read_name(name, pid);
    for (const struct dirent *entry; (entry = readdir(folder));) {
        uint32_t inode = inode_of_link(dirfd(folder), entry->d_name);
        if (inode)
            found(context, inode, (uint32_t)strtoul(pid, NULL, 10), name);
    }
    (void)closedir(folder);
}

void socket_walk(socket_found *found, void *context) {
    DIR *proc = opendir("/proc");
    if (!proc)
        return;
    for (const struct dirent *entry; (entry = readdir(proc));)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            look_into(entry->d_name, found, context);
    (void)closedir(proc);
}

/* --- the sockets of some pairs --- */

struct open_socket {
    uint32_t inode, uid;
    size_t pair;
    bool named;
};

struct search {
    struct socket_users *all;
    size_t n_all;
    struct open_socket *socket;
    size_t n, room;
    bool no_memory;
};

static bool is_of(const struct socket_users *u, const struct dump_socket *s) {
    const struct addr *source = u->inbound ? &s->peer : &s->local, *destination = u->inbound ? &s->local : &s->peer;
    uint16_t port = u->inbound ? s->local_port : s->peer_port;
    return addr_compare(source, &u->source) == 0 &&
           (u->any || (port == u->port && addr_compare(destination, &u->destination) == 0));
}

static bool make_room(struct search *s) {
    if (s->n < s->room)
        return true;
    size_t room = s->room ? 2 * s->room : FIRST_SOCKETS;
    struct open_socket *grown = realloc(s->socket, room * sizeof *grown);
    if (!grown)
        return false;
    s->socket = grown;
    s->room = room;
    return true;
}

static void consider(const struct dump_socket *socket, void *context) {
    struct search *s = context;
    for (size_t i = 0; i < s->n_all; i++) {
        if (!is_of(&s->all[i], socket))
            continue;
        if (socket->inode == 0)
            s->all[i].unowned++;
        else if (make_room(s))
            s->socket[s->n++] = (struct open_socket){socket->inode, socket->uid, i, false};
        else
            s->no_memory = true;
    }
}

static int by_inode(const void *left, const void *right) {
    const struct open_socket *a = left, *b = right;
    return (a->inode > b->inode) - (a->inode < b->inode);
}

static void attribute(struct socket_users *u, uint32_t pid, uint32_t uid, const char *name) {
    for (unsigned i = 0; i < u->n; i++)
        if (u->user[i].pid == pid && (pid || u->user[i].uid == uid)) {
            u->user[i].sockets++;
            return;
        }
    if (u->n == SOCKET_USERS) {
        u->more++;
        return;
    }
    struct socket_user *new = &u->user[u->n++];
    *new = (struct socket_user){.pid = pid, .uid = uid, .sockets = 1};
    snprintf(new->name, sizeof new->name, "%s", name);
}

/* A socket can be asked for twice (inbound and outbound on one host): all entries of an inode are neighbours. */
static void note(void *context, uint32_t inode, uint32_t pid, const char *name) {
    struct search *s = context;
    const struct open_socket wanted = {.inode = inode};
    struct open_socket *found = s->n ? bsearch(&wanted, s->socket, s->n, sizeof wanted, by_inode) : NULL;
    while (found && found > s->socket && found[-1].inode == inode)
        found--;
    for (; found && found < s->socket + s->n && found->inode == inode; found++) {
        /* Several processes may share it, and one may have it under several numbers: the first counts. */
        if (!found->named)
            attribute(&s->all[found->pair], pid, found->uid, name);
        found->named = true;
    }
}

static int by_sockets(const void *left, const void *right) {
    const struct socket_user *a = left, *b = right;
    if (a->sockets != b->sockets)
        return a->sockets < b->sockets ? 1 : -1;
    return (a->pid > b->pid) - (a->pid < b->pid);
}

int socket_users_find(struct socket_users *all, size_t n) {
    struct search s = {.all = all, .n_all = n < SOCKET_USERS_PAIRS ? n : SOCKET_USERS_PAIRS};
    int error = dump_sockets(QUADS_STATES, consider, &s);
    if (error == 0 && s.no_memory)
        error = -ENOMEM;
    if (s.n)
        qsort(s.socket, s.n, sizeof *s.socket, by_inode);
    if (s.n)
        socket_walk(note, &s);
    for (size_t i = 0; i < s.n; i++)
        if (!s.socket[i].named)
            attribute(&all[s.socket[i].pair], 0, s.socket[i].uid, "");
    for (size_t i = 0; i < s.n_all; i++)
        if (all[i].n)
            qsort(all[i].user, all[i].n, sizeof *all[i].user, by_sockets);
    free(s.socket);
    return error;
}

void socket_users_text(const struct socket_users *u, char out[SOCKET_USERS_TEXT]) {
    enum { NAMED = 6 };
    uint32_t more = u->more;
    struct strbuf s;
    strbuf_init(&s, out, SOCKET_USERS_TEXT);
    for (unsigned i = 0; i < u->n; i++) {
        const struct socket_user *one = &u->user[i];
        if (i >= NAMED) {
            more += one->sockets;
            continue;
        }
        strbuf_text(&s, i ? "; " : "");
        if (one->pid)
            strbuf_plain(&s, one->name, sizeof one->name);
        strbuf_text(&s, one->pid ? " (pid " : "a process of user ");
        strbuf_number(&s, one->pid ? one->pid : one->uid);
        strbuf_text(&s, one->pid ? "): " : ": ");
        strbuf_grouped(&s, one->sockets);
        strbuf_text(&s, " open");
    }
    if (more) {
        strbuf_text(&s, "; others: ");
        strbuf_grouped(&s, more);
        strbuf_text(&s, " open");
    }
    if (u->unowned) {
        strbuf_text(&s, u->n ? "; owner unknowable: " : "owner unknowable: ");
        strbuf_grouped(&s, u->unowned);
        strbuf_text(&s, ", in TIME-WAIT or closing");
    }
    if (!u->n && !u->unowned)
        strbuf_text(&s, "no socket now");
    (void)strbuf_finish(&s);
}
