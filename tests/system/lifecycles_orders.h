/* lifecycles_orders.h - what the conductor tells an actor to do, and what comes back. Part of lifecycles.c. */
#ifndef LIFECYCLES_ORDERS_H
#define LIFECYCLES_ORDERS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Descriptors with fixed numbers in every actor. Connections come behind them. */
enum { CONTROL = 3, MAIL = 4, NOTHING = 5, LISTENER = 6, LISTENER6 = 7, LISTENER_MPTCP = 8, FIRST_FREE = 9 };

enum { FDS_MAX = 16 };

enum op {
    OP_CONNECT,
    OP_ACCEPT,
    OP_WRITE,
    OP_READ,
    OP_PEEK,
    OP_SHUTDOWN,
    OP_LINGER,
    OP_LINGER2,
    OP_DUP,
    OP_FORK,
    OP_SPAWN,
    OP_EXEC,
    OP_VFORK,
    OP_SYSTEM,
    OP_SEND_FD,
    OP_RECEIVE_FD,
    OP_DISCONNECT,
    OP_CLOSE,
    OP_CLOSE_TOGETHER,
    OP_AWAIT,
    OP_TOKEN,
    OP_END
};

enum connect_how {
    CONNECT_CLOEXEC = 1,
    CONNECT_NONBLOCK = 2,
    CONNECT_AGAIN = 4,      /* ask by a second connect how the first went */
    CONNECT_ASK = 8,        /* ... or by SO_ERROR */
    CONNECT_FASTOPEN = 16,  /* sendto(MSG_FASTOPEN) */
    CONNECT_FASTOPEN2 = 32, /* TCP_FASTOPEN_CONNECT */
    CONNECT_MPTCP = 64,
    CONNECT_BIND = 128 /* the client binds (address, 0) itself */
};
enum accept_how { ACCEPT_PLAIN, ACCEPT_ADDRESS, ACCEPT_CLOEXEC, ACCEPT_HOWS };
enum dup_how { DUP, DUP_DUP2, DUP_DUP3, DUP_FCNTL, DUP_FCNTL_CLOEXEC, DUP_DUP3_CLOEXEC, DUP_HOWS };
enum fork_how { FORK, FORK_BARE, FORK_CLONE, FORK_HOWS };
enum spawn_how { SPAWN, SPAWN_UNWATCHED, SPAWN_HOWS };
enum vfork_how { VFORK_CLOSES, VFORK_CLOSES_RANGE, VFORK_EXECS, VFORK_HOWS };
enum close_how {
    CLOSE,
    CLOSE_SYSCALL,
    CLOSE_DUP2,
    CLOSE_DUP3,
    CLOSE_SYSCALL_DUP3,
    CLOSE_RANGE_ONE,
    CLOSE_RANGE_UNSHARED,
    CLOSE_SYSCALL_RANGE,
    CLOSE_FCLOSE,
    CLOSE_FREOPEN,
    CLOSE_THREAD,
    CLOSE_FROM, /* it and all above */
    CLOSE_HOWS
};
enum end_how { END_EXIT, END__EXIT, END_QUICK_EXIT, END_SYSCALL, END_RETURN, END_THREAD, END_KILL, END_HOWS };

struct order {
    enum op op;
    int fd, how, n;
    int fds[FDS_MAX]; /* CLOSE_TOGETHER: n of them */
    char name[32];    /* SEND_FD: whose mailbox; FORK, SPAWN, EXEC: the new actor's own */
    struct sockaddr_in6 address;
    socklen_t length;
};

struct answer {
    int result, error;
    pid_t pid;
    struct sockaddr_in6 local, peer; /* CONNECT */
    uint32_t token;                  /* TOKEN: of an MPTCP connection, 0: none */
};

static void actor(const char *name) __attribute__((noreturn));

#endif
