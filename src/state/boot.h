/* boot.h - which boot of which host this is: process numbers, sockets and times of another one mean nothing here. */
#ifndef CONNSPREAD_STATE_BOOT_H
#define CONNSPREAD_STATE_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "state/layout.h"

/* The kernel's random number of this boot (random(4), boot_id), half of it; 0: it cannot be read. One open, for a
 * process that makes a state file and for the tool. Async-signal-safe, leaves errno alone. */
uint64_t boot_number(void);

/* boot: of boot_number. A file, or a boot, that has no number is taken for this one. */
bool boot_made(const struct state_header *header, uint64_t boot);

#endif
