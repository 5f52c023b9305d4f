/* after_exec.h - what an earlier image of this process had open when it called exec. */
#ifndef CONNSPREAD_CLOSE_AFTER_EXEC_H
#define CONNSPREAD_CLOSE_AFTER_EXEC_H

struct client;

/* Constructor: connections that the exec closed become events, via exec; those that survived it are found again. */
void after_exec_record(struct client *client);

#endif
