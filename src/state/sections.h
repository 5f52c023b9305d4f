/* sections.h - where each part of a state file lies; shared by those that map and those that build one. */
#ifndef CONNSPREAD_STATE_SECTIONS_H
#define CONNSPREAD_STATE_SECTIONS_H

#include <stdint.h>

enum { LOG_SIZE_MIN = 64 << 10, LOG_SIZE_PRIVATE = 64 << 10 };
#define LOG_SIZE_MAX ((uint64_t)1 << 30)

#endif
