/* time_text.h - points in time as people write them on a command line. */
#ifndef CONNSPREAD_TOOL_COMMON_TIME_TEXT_H
#define CONNSPREAD_TOOL_COMMON_TIME_TEXT_H

#include <stdbool.h>
#include <stdint.h>

/* RFC 3339: "2026-11-21T03:27:59[.123456](Z|+01:00)". Microseconds since 1970; false for anything else, or before 1970.
 * Fractions beyond the microsecond are cut off. Reads no further than the NUL. */
bool time_from_rfc3339(const char *text, uint64_t *out_us);

/* What --since and --until take, all UTC: RFC 3339 (its zone, its time and the T may be missing), "HH:MM[:SS]" today,
 * "10m", "-10m" or "1h30m ago" before now_us, "now", and seconds since 1970. Returns NULL, or what would have been
 * right (static storage) and leaves *out_us alone. */
const char *time_from_text(const char *text, uint64_t now_us, uint64_t *out_us);

/* CLOCK_REALTIME. */
uint64_t time_now_us(void);

#endif
