/* ring_private.h - the check of a ring's cell, shared by writer and reader. */
#ifndef CONNSPREAD_STATE_RING_PRIVATE_H
#define CONNSPREAD_STATE_RING_PRIVATE_H

#include "state/layout.h"

uint32_t cell_check(uint64_t number, unsigned part, unsigned parts, const uint64_t payload[CELL_PAYLOAD / 8]);

#endif
