/* ring_private.h - the check of a ring's cell, shared by writer and reader. */
#ifndef CONNSPREAD_STATE_RING_PRIVATE_H
#define CONNSPREAD_STATE_RING_PRIVATE_H

#endif
