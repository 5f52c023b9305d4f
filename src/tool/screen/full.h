/* full.h - the whole of a terminal: a view that is drawn again and again, until q, a signal or the end of the terminal.
 *
 * What the terminal was before, its modes, its text, its cursor, comes back at every end: full_end, exit(), a signal
 * that ends or stops the process, a fault. SIGKILL alone leaves no time for it. */
#ifndef CONNSPREAD_TOOL_SCREEN_FULL_H
#define CONNSPREAD_TOOL_SCREEN_FULL_H

#include <stdbool.h>

/* Takes the terminal behind standard output. False: there is none, and nothing was done. */
bool full_begin(void);
void full_end(void);

/* Shows text from the upper left on, as many lines as there are. Each must fit. */
void full_show(const char *text);

enum full_event { FULL_TIME, FULL_RESIZED, FULL_AGAIN, FULL_QUIT };

/* Waits ms for the time, another size, a key that asks for a look now (space, Enter), or the end: q, SIGINT, SIGTERM,
 * SIGHUP, a terminal that is gone. */
enum full_event full_wait(unsigned ms);

#endif
