/* stand_in.h - when the supervisor is dead: every call goes on in the kernel, as if it had no supervisor. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_STAND_IN_H
#define CONNSPREAD_TOOL_SUPERVISE_STAND_IN_H

#include "tool/supervise/desk.h"

/* Answers the calls that the supervisor had taken and not answered: a connect that it had begun by then as if that were
 * the client's own. */
void stand_in_for_desk(int listener, struct desk *desk);

/* Answers those that wait now, one or more. Blocks if there is none: after poll. */
void stand_in_continue(int listener, struct desk *desk);

#endif
