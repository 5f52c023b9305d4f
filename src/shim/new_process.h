/* new_process.h - a fork child begins: what its parent was about is not its own. */
#ifndef CONNSPREAD_SHIM_NEW_PROCESS_H
#define CONNSPREAD_SHIM_NEW_PROCESS_H

struct client;

/* Its own attach event, its own place in the canary sequence, its own chunks in the open table; what threads of the
 * parent were just doing is forgotten. Async-signal-safe, errno untouched. */
void new_process(struct client *client);

#endif
