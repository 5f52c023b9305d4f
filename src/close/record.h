/* record.h - a close that is over, into counters, history and ring. Async-signal-safe. */
#ifndef CONNSPREAD_CLOSE_RECORD_H
#define CONNSPREAD_CLOSE_RECORD_H

#include "close/closing_state.h"

/* verified: whether the kernel's answer stands behind fate. now: CLOCK_MONOTONIC, ns. */
void record_close(const struct closing *c, enum fate fate, enum verified verified, uint64_t now);

#endif
