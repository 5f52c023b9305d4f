/* closing_state.h - one close on its way: shared by the files of close/. */
#ifndef CONNSPREAD_CLOSE_CLOSING_STATE_H
#define CONNSPREAD_CLOSE_CLOSING_STATE_H

#include "client/fdtab.h"
#include "close/fate.h"
#include "close/located.h"
#include "state/state.h"

struct client;

struct closing {
    struct client *client;
    struct conn *conn; /* NULL: nothing to write */
    fd_word *word;     /* of fd in the table */
    int fd;
    enum via via;
    bool exact;           /* it is connect_error, not just like it */
    int connect_error;    /* of a connect that went on after the call and failed; 0: none */
    struct endpoint peer; /* that it is really connected to; port 0: the one that was asked for */
    struct fate_facts facts;
    struct fate_verdict verdict;
    struct settings settings; /* client_settings() before the look */
    uint64_t cookie;          /* of the socket; 0: not known */
    uint64_t looked_ns;       /* CLOCK_MONOTONIC; with facts.others */
    bool forked;              /* between look and close: c was not prepared for being asked about */
    bool found;               /* by this close: the table did not know it */
    bool raced;               /* another thread closed the same number first */
    bool held;                /* conn is not ours alone: others had it when the descriptor was claimed */
    bool sure;            /* the descriptor's close follows: what it would throw away may be taken from the socket */
    bool silent;          /* nothing may be asked (client_asks): only the record is given back */
    bool claimed;         /* taken out of the table: fd_closed is due */
    uint32_t mark;        /* deferred_mark before the first look */
    uint32_t interface;   /* that it is bound to */
    struct located place; /* with held: what is not yet written into conn; else unset */
};

#endif
