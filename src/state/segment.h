/* segment.h - how a state file grows: segments of 1 MB behind the part that every process maps.
 *
 * A file is made with a hole behind header.size for as many segments as it may have. The process that needs room maps
 * the first segment that is free, has the kernel allocate it (MADV_POPULATE_WRITE: a full disk is an error and no
 * signal), and takes it for its purpose by compare-and-swap on its byte in the header. A process that is killed before
 * that has allocated memory that the next one takes. A segment never becomes anything else and is never given back.
 *
 * Every other process maps a segment when it first meets it, without a descriptor and without the file's path: mremap
 * of no bytes of a shared mapping makes a second one of the same file (mremap(2), "If the value of old_size is zero"),
 * so it works after chroot, setuid, and in a process that has no descriptor left. What cannot be mapped is left alone,
 * and no more is tried in this process. Lock-free; async-signal-safe: system calls of our own, and no memory but one
 * page from when the file was mapped. */
#ifndef CONNSPREAD_STATE_SEGMENT_H
#define CONNSPREAD_STATE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "state/layout.h"

/* A client maps no more of its state file than one part in so many of what it may map in all (RLIMIT_AS). */
enum { ADDRESS_SPACE_SHARE = 16 };

/* This process's own, in a page of its own. */
struct segments {
    struct state_header *header;
    unsigned char *tail; /* the end of what is mapped */
    unsigned n;          /* that the file has room for; as its size was when it was mapped */
    bool copied;         /* at[] are copies (copy.h): none can be mapped */
    bool refused;        /* one could not be mapped; atomic */
    bool stuck;          /* one could not be allocated, so this process makes no more; atomic */
    void *at[SEGMENTS];  /* NULL: not mapped yet; atomic */
};

/* Of a file of this size, of which the first mapped_bytes are mapped at header; NULL: it has no room for any, or there
 * is no memory. All below take that as a file without segments. */
struct segments *segments_begin(struct state_header *header, size_t mapped_bytes, uint64_t file_size);
void segments_end(struct segments *all);

/* The client has locked all of its memory: those that are mapped are not its. */
void segments_unlock(const struct segments *all);

/* Segment number n if it is of this kind, mapped if need be; NULL: it is not, or cannot be mapped. */
void *segment_find(struct segments *all, unsigned n, enum segment_kind kind);

/* Those of the kind have numbers below this. */
unsigned segments_of(const struct segments *all, enum segment_kind kind);

/* One segment more of this kind: its number, or -1: the file has as many as it may have, or there is no room (*full),
 * or this process can map no more. Numbers below known have been looked at; one from there on that another process has
 * just taken for the same is as good as a new one. */
int segment_grow(struct segments *all, enum segment_kind kind, unsigned known, bool *full);

#endif
