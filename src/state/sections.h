/* sections.h - where each part of a state file lies; shared by those who map and those who build one. */
#ifndef CONNSPREAD_STATE_SECTIONS_H
#define CONNSPREAD_STATE_SECTIONS_H

#include "state/state.h"

enum { LOG_SIZE_MIN = 64 << 10, LOG_SIZE_PRIVATE = 64 << 10 };
#define LOG_SIZE_MAX ((uint64_t)1 << 30)

/* Fills header->section[] and header->size for rings of log_size bytes (clamped): 1/8 incidents, 7/8 closes. */
void sections_plan(struct state_header *header, uint64_t log_size);

/* Where each section lies in a file of size bytes, read once; the fixed ones with the size that is used of them. False:
 * impossible sizes. */
bool sections_take(struct state_section out[SECTIONS], const struct state_header *header, uint64_t size);

/* Points *out into a mapping of size bytes after checking every section against it. False: impossible sizes. */
bool sections_bind(struct state *out, void *mapping, size_t size);

/* May this file be a state file? any_owner: whoever owns it. *size: of the file. STATE_IO: fstat failed. */
enum state_error state_check_file(int fd, bool any_owner, uint64_t *size);
enum state_error state_check_header(const struct state_header *header, uint64_t size);

/* Fills a fresh, zeroed header. */
void header_fill(struct state_header *header, const char *instance, uint64_t log_size);

#endif
