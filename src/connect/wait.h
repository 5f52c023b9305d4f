/* wait.h - climbing again and again while a full pool may get a quadruplet back. */
#ifndef CONNSPREAD_CONNECT_WAIT_H
#define CONNSPREAD_CONNECT_WAIT_H

#include "connect/sources.h"

/* The same while a full pool may get a quadruplet back: for at most the rule's wait, on blocking sockets only. The
 * client's SO_SNDTIMEO is shortened by what was waited, until climb_wait_over. */
enum step climb_wait(struct client *client, struct climb *k);

void climb_wait_over(struct climb *k);

#endif
