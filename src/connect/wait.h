/* wait.h - asking the sources again and again while a full pool may get a quadruplet back. */
#ifndef CONNSPREAD_CONNECT_WAIT_H
#define CONNSPREAD_CONNECT_WAIT_H

#include "connect/connecting.h"

/* The same while a full pool may get a quadruplet back: for at most the rule's wait, on blocking sockets only. The
 * client's SO_SNDTIMEO is shortened by what was waited, until limit_over. */
enum step wait_for_source(struct client *client, struct connecting *k);

#endif
