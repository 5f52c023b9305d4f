/* open_chunk.h - where the chunks of the open table lie: the first in a section of the file, the others in segments. */
#ifndef CONNSPREAD_STATE_OPEN_CHUNK_H
#define CONNSPREAD_STATE_OPEN_CHUNK_H

#include "state/segment.h"
#include "state/state.h"

/* Chunk number n; NULL: there is none, there is nothing in its block, or it cannot be mapped. */
static inline struct open_chunk *open_chunk_of(const struct state *s, unsigned n) {
    if (n < OPEN_FIRST)
        return block_there(s->header, &s->open_table->chunk[n]) ? &s->open_table->chunk[n] : NULL;
    struct open_chunk *block = segment_find(s->segments, (n - OPEN_FIRST) / OPEN_BLOCK, SEGMENT_OPEN);
    return block ? &block[(n - OPEN_FIRST) % OPEN_BLOCK] : NULL;
}

/* The same, for one that is about to be taken: its block is made. */
static inline struct open_chunk *open_chunk_make(const struct state *s, unsigned n) {
    bool there = n >= OPEN_FIRST || block_have(s->header, &s->open_table->chunk[n]);
    return there ? open_chunk_of(s, n) : NULL;
}

/* Chunks, and their owner words, are numbered below this; those of segments that are something else are not there. */
static inline unsigned open_chunks(const struct state *s) {
    return OPEN_FIRST + segments_of(s->segments, SEGMENT_OPEN) * OPEN_BLOCK;
}

#endif
