/* messages.h - what a program's message means: `connspread doctor --message TEXT`. Pure. */
#ifndef CONNSPREAD_TOOL_DOCTOR_MESSAGES_H
#define CONNSPREAD_TOOL_DOCTOR_MESSAGES_H

#include <stdbool.h>

/* A row of contrib/doc/messages.md. */
struct message {
    const char *program, *text, *exit_status, *retries, *next_address;
};

enum { MESSAGES_MAX = 64 }; /* more than there are rows */

/* The rows that a text, or one of its lines, fits best, however it is dressed: numbers, addresses and what stands
 * around it do not count. Returns how many; 0: none fits. */
unsigned messages_find(const char *text, const struct message *out[MESSAGES_MAX]);

/* What the words of a text say of the cause, and what to do; NULL: nothing. */
const char *messages_meaning(const char *text);

#endif
