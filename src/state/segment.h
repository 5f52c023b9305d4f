/* segment.h - how a state file grows: blocks of 64 KB in the part that every process maps, segments of 1 MB behind it.
 *
 * A block that is to be used first is a hole. The process that is about to has the kernel allocate it
 * (MADV_POPULATE_WRITE: a full disk is an error and no signal), and then says in the header that it is there. Several
 * that come at once do the same. A block is never given back. What cannot be had is tried again a second later.
 *
 * A file is made with a hole behind header.size for as many segments as it may have. The process that needs room maps
 * the first segment that is free, has the kernel allocate it in the same way, and takes it for its purpose by
 * compare-and-swap on its byte in the header. A process that is killed before that has allocated memory that the next
 * one takes. A segment never becomes anything else and is never given back.
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

/* Is anything where at points to, into the part that every process maps? If not, it may be neither read nor written. */
static inline bool block_there(const struct state_header *header, const void *at) {
    size_t n = (size_t)((const unsigned char *)at - (const unsigned char *)header) / BLOCK_BYTES;
    return __atomic_load_n(&header->block[n / 64], __ATOMIC_RELAXED) >> n % 64 & 1;
}

/* Allocates block number n of the mapped part, and says so. 0, or -errno. */
int block_allocate(struct state_header *header, unsigned n);

/* Of a header that no other process has yet: all of the first n are there. */
void blocks_are_there(struct state_header *header, unsigned n);

/* The same as block_there, once it has been made so if it can be. */
bool block_make(struct state_header *header, const void *at);
static inline bool block_have(struct state_header *header, const void *at) {
    return __builtin_expect(block_there(header, at), 1) || block_make(header, at);
}

/* This process's own, in a page of its own. */
struct segments {
    struct state_header *header;
    unsigned char *tail; /* the end of what is mapped */
    unsigned n;          /* that the file has room for; as its size was when it was mapped */
    bool copied;         /* at[] are copies (copy.h): none can be mapped */
    bool refused;        /* one could not be mapped; atomic */
    bool stuck;          /* one could not be had, so this process makes no more; atomic */
    void *at[SEGMENTS];  /* NULL: not mapped yet; atomic */
};

/* Of a file of this size, of which the first mapped_bytes are mapped at header; NULL: it was cut, or there is no
 * memory. All below take that as a file without segments. */
struct segments *segments_begin(struct state_header *header, size_t mapped_bytes, uint64_t file_size);
void segments_end(struct segments *all);

/* The client has locked all of its memory: those that are mapped are not its. */
void segments_unlock(const struct segments *all);

/* Segment number n if it is of this kind, mapped if need be; NULL: it is not, or cannot be mapped. */
void *segment_find(struct segments *all, unsigned n, enum segment_kind kind);

/* Those of the kind have numbers below this. */
unsigned segments_of(const struct segments *all, enum segment_kind kind);

/* False once this process could not map or allocate one: it need not look where one might go. */
static inline bool segments_may_grow(const struct segments *all) {
    return all && !__atomic_load_n(&all->stuck, __ATOMIC_RELAXED);
}

/* One segment more of this kind: its number, or -1: the file has as many as it may have, or there is no room, which the
 * header says then, or this process can map no more. Numbers below known have been looked at; one from there on that
 * another process has just taken for the same is as good as a new one. */
int segment_grow(struct segments *all, enum segment_kind kind, unsigned known);

#endif
