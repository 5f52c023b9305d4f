/* asked.h - the destinations that clients asked for, of connections that went to another endpoint of their rule's
 * also-to. A record has its peer as the kernel names it; here lies the other name, by a small number in the record.
 *
 * A table of this process that is only added to. Lock-free, async-signal-safe; a fork child has a copy. */
#ifndef CONNSPREAD_CLIENT_ASKED_H
#define CONNSPREAD_CLIENT_ASKED_H

#include <stdbool.h>

#include "client/fdtab.h"

/* The number of a destination; 0: there is no room for it. */
uint32_t asked_number(const struct endpoint *destination);

/* From now on c is a connection to another endpoint; and: it is to its own destination again. shown: getpeername is to
 * tell what was asked for. c->peer is the caller's to write. */
void asked_set(struct conn *c, uint32_t number, bool shown);
void asked_clear(struct conn *c);

/* What the client asked for, if c went to another endpoint; else NULL. */
const struct endpoint *asked_of(const struct conn *c);

/* The same where getpeername is to tell it. Costs one look at a word in a process where no rule wants it. */
const struct endpoint *asked_shown(int fd);

#endif
