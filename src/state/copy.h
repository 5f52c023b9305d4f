/* copy.h - a state file read without mapping it. Tool only.
 *
 * A mapped file that its owner cuts short, or whose pages cannot be had, is SIGBUS in a process that reads it. What is
 * read with pread comes short instead, and what is a copy cannot change while it is checked. So a reader copies the
 * sections that it needs, each as large as this version makes it, into memory of its own; holes cost nothing. The rings
 * are read from the file piece by piece, up to their heads as they stood when the copy was made; of the open table what
 * lies in segments, chunk by chunk (state_chunk). */
#ifndef CONNSPREAD_STATE_COPY_H
#define CONNSPREAD_STATE_COPY_H

#include "state/state.h"

#define COPY(section) (1u << (section))
enum {
    COPY_EVENTS = COPY(SECTION_POLICY) | COPY(SECTION_NAMES) | COPY(SECTION_COUNTERS),
    COPY_STATS = COPY_EVENTS | COPY(SECTION_STATS) | COPY(SECTION_PAIRS),
    COPY_HISTORY = COPY_EVENTS | COPY(SECTION_HISTORY)
};

/* Copies the header and the sections of the mask. Root's tool takes a file of any user, any other only its user's and
 * root's. Symbolic links are refused. dir: an open folder, or AT_FDCWD. Until state_release a descriptor stays open. */
enum state_error state_copy(struct state *out, int dir, const char *path, unsigned sections, int *error);

/* Copies the same, and the sections of more, from the same file again, as it is now. False: it was cut, or cannot be
 * read; what was copied before is partly there. The open connections come first, then the heads of the rings, then all
 * else: a process that leaves the open connections has written its event before, and an event's names are there before
 * it is. After chunks of segments were read it is to be called once more, for the same reason. */
bool state_copy_again(const struct state *s, unsigned more);

/* Does the very file that was copied, whatever has its name by now, belong to this user? */
bool state_copy_is_ours(const struct state *s);

/* A page of the file, mapped so that it can be found in /proc/self/maps and never be read. munmap(it, 1). */
void *state_copy_mapping(const struct state *s);

/* Reads one segment of the file, as it is now, to out: SEGMENT_BYTES. False: it is not of this kind, not there any
 * more, or nothing is in it. */
bool state_copy_segment(const struct state *s, unsigned n, enum segment_kind kind, void *out);

/* Chunk n of the open table, whose section is copied; those of segments are read from the file, as it is now, to room.
 * NULL: there is none. Also of a mapping. */
const struct open_chunk *state_chunk(const struct state *s, unsigned n, struct open_chunk *room);

/* Gives the memory of one section back, which is zero from then on. */
void state_copy_drop(const struct state *s, enum section section);

/* Of a copy or a mapping. */
void state_release(struct state *s);

/* For ring_reader.c: cell n % cells of a ring of a copy; NULL: the file does not have it any more. */
const struct cell *window_cell(const struct state *s, enum ring_id ring, uint64_t n);

#endif
