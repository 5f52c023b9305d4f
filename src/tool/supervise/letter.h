/* letter.h - what the three processes of a supervision say to each other, over a socket pair. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_LETTER_H
#define CONNSPREAD_TOOL_SUPERVISE_LETTER_H

#include <stdbool.h>

enum letter_kind {
    LETTER_NONE,     /* the other end is closed */
    LETTER_BARE,     /* to the program: run without a filter */
    LETTER_FILTER,   /* to the program: install it, and send the listener */
    LETTER_LISTENER, /* with the listener; from the supervisor: value is the program's process */
    LETTER_FAILED,   /* no listener: value is the errno */
    LETTER_EXECUTE,  /* to the program */
    LETTER_STARTED,  /* to the process that was started: value is the program's process, which runs bare */
    LETTER_ENDED,    /* the program: value is its status, as of wait; other processes go on */
    LETTER_LAST      /* the same, and no process is left; or they ended too */
};

struct letter {
    enum letter_kind kind;
    int value;
};

/* Two ends, close-on-exec. */
bool letter_pair(int ends[2]);

/* descriptor: sent along, -1: none. */
void letter_send(int end, enum letter_kind kind, int value, int descriptor);

/* Waits. *descriptor: as sent, or -1. */
struct letter letter_receive(int end, int *descriptor);

#endif
