/* layout.h - the state file: the only thing between clients and tool.
 *
 *   offset 0        header      magic, versions, sizes, control word, generation, ring heads
 *   section         policy      two slots of struct policy; generation & 1 says which one is live
 *                   names       titles of rules and pools, by number; only ever added to
 *                   counters    one array of 64-bit counters per arm
 *                   next_source one round-robin counter per pool and scope
 *                   pairs       struct pair_table, a hash table over (namespace, source, destination)
 *                   stats       struct stat_entry, a hash table over (arm, rule, source, lane)
 *                   places      struct place, processes' places in the canary sequence, kept through exec
 *                   dedup       words: TIME-WAITs of sockets that several processes held; ports claimed (dedup.h)
 *                   open_table  struct open_table, connections that processes have open, by process
 *                   incidents   ring of cells: everything but closes; closes never evict it
 *                   closes      ring of cells: time-wait and close
 *                   history     struct history_minute [1440], what flows did in each minute of a day
 *   header.size     segments    more of a table, as many as are needed: header.segment[] says of which (segment.h)
 *
 * A new file has memory, or disk, up to the owners in open_table. What lies behind them is a hole, and has some block
 * by block, before it is used first: header.block[] says which blocks have (segment.h). Where nothing is, nothing may
 * be read through a mapping, either: on tmpfs that takes memory too, and is SIGBUS when there is none.
 *
 * Fixed-width integers in host byte order, every member aligned to its size: 32- and 64-bit processes share one file.
 * Each side treats what it reads as untrusted. Words that several processes write are written with atomics; no lock
 * lives in the file. Truncating the file under its clients kills them with SIGBUS; unlinking or replacing it does not.
 */
#ifndef CONNSPREAD_STATE_LAYOUT_H
#define CONNSPREAD_STATE_LAYOUT_H

#include <stdint.h>

#include "net/tuple.h"

#define STATE_MAGIC "connsprd"

enum {
    STATE_LAYOUT = 7, /* of this file; any change to what is below raises it */
    CELL_BYTES = 128,
    CELL_PAYLOAD = 112,
    EVENT_CELLS_MAX = 5,
    NAMES = 4096,
    PAIRS = 4096,      /* that every file has */
    PAIR_WAYS = 16,    /* places of one key in a table: two cache lines */
    PAIR_BLOCK = 5232, /* pairs of each further segment */
    PAIR_LEVELS = 9,   /* the first, and eight of 1, 2, 4 ... 128 segments */
    PAIR_SEGMENTS = 255,
    STATS = 2048,
    STAT_LANES = 4, /* threads count in entries of their own, as far as these go */
    PLACES = 1024,
    SEGMENTS = 252, /* that a file may grow by, of SEGMENT_BYTES each (segment.h) */
    SEGMENT_BYTES = 1 << 20,
    BLOCK_BYTES = 1 << 16, /* a page, or some, on every host */
    BLOCKS = 264 * 64,     /* enough for LOG_SIZE_MAX and the rest */
    OPEN_PER_CHUNK = 63,
    OPEN_FIRST = 512, /* chunks that every file has */
    OPEN_BLOCK = 256, /* chunks of each further segment */
    OPEN_BLOCKS = OPEN_FIRST / OPEN_BLOCK + SEGMENTS,
    OPEN_CHUNKS = OPEN_BLOCKS * OPEN_BLOCK,
    DEDUP_WORDS = 16384,
    HISTORY_MINUTES = 1440,
    HISTORY_FLOWS = 31,
    HISTORY_BLOCK = 256, /* pages of each segment */
    HISTORY_FURTHER = HISTORY_BLOCK * SEGMENTS,
    HISTORY_DEPTH = 8, /* of a minute's further pages: 255 of them */
    HISTORY_CAUSES = 6,
    HISTORY_PROGRAM = 20,
    HISTORY_REST = 15
};

enum section {
    SECTION_POLICY,
    SECTION_NAMES,
    SECTION_COUNTERS,
    SECTION_NEXT_SOURCES,
    SECTION_PAIRS,
    SECTION_STATS,
    SECTION_PLACES,
    SECTION_DEDUP,
    SECTION_OPEN_TABLE,
    SECTION_INCIDENTS,
    SECTION_CLOSES,
    SECTION_HISTORY,
    SECTIONS
};
/* What a segment is. It is taken for something once, by compare-and-swap from 0, and stays that. */
enum segment_kind { SEGMENT_FREE, SEGMENT_OPEN, SEGMENT_PAIRS, SEGMENT_HISTORY, SEGMENT_KINDS };
/* Why something had no room: there was none on the file system; the file is as large as it may become. */
enum no_room { NO_ROOM_DISK, NO_ROOM_SIZE, NO_ROOMS };
enum { NO_ROOM_MET = 1, NO_ROOM_SAID };
enum ring_id { RING_INCIDENTS, RING_CLOSES, RINGS };
enum arm { ARM_ENFORCE, ARM_OBSERVE, ARM_CONTROL, ARMS };

/* Counters that exist once per arm. The order is part of the layout. What a stat_entry counts is counted there: here is
 * only what found none, and readers add the entries to it. */
enum counter {
    COUNT_CONNECTS,  /* TCP connects seen, whatever came of them; of those, too, what has no stat_entry */
    COUNT_SPREAD,    /* left through a source or port range of ours; the same */
    COUNT_RECOVERED, /* met EADDRNOTAVAIL and left through another source or range */
    COUNT_FALLBACK,  /* every source failed, the client's own call was made */
    COUNT_FAILED,    /* EADDRNOTAVAIL that the client saw */
    COUNT_HELD_DOWN, /* sources skipped because they were known to be full */
    COUNT_TIME_WAIT, /* closes by fate; the same */
    COUNT_PASSIVE,
    COUNT_RESET,
    COUNT_SHARED,
    COUNT_NONE,
    COUNT_VERIFIED,        /* closes that sock_diag was asked about */
    COUNT_MISMATCH,        /* of those: the look before the close had said otherwise */
    COUNT_EVENTS_DROPPED,  /* a writer found its cell taken by a later lap, or no ring to write to */
    COUNT_UNSEEN_CLOSE,    /* a descriptor number came back though no close was seen */
    COUNT_UNTRACKED,       /* connections for which there was no record: table full or no memory */
    COUNT_PAIRS_FULL,      /* accounting had no room for a (source, destination) pair */
    COUNT_OPEN_TABLE_FULL, /* no room in the table that survives SIGKILL */
    COUNT_POLICY_BUSY,     /* a call passed through because the policy changed 8 times under it */
    COUNT_CONFIG_ERROR,    /* attaches with a config that was refused */
    COUNT_ATTACHED,        /* processes */
    COUNT_SEALED_CLOSE,    /* connections closed under a filter of the client's own: how they ended may not be asked */
    COUNT_BIND_DENIED,     /* connects made as the client asked, because its process may not bind */
    COUNT_MARKED_DOWN,     /* times that a source was found unanswered while its siblings were answered */
    COUNT_EMFILE,          /* socket() of TCP: this process had no descriptor left */
    COUNT_ENFILE,          /* the host had none */
    COUNT_TIME_WAIT_GONE,  /* TIME-WAITs that were told and that the kernel, asked later, did not have */
    COUNT_ELSEWHERE,       /* connects that went to another endpoint of their rule */
    COUNT_ENDPOINT_OUT,    /* times that one of these did not answer and was left out */
    COUNTERS = 64
};

struct state_section {
    uint64_t offset, size; /* bytes from the start of the file; a multiple of 64 */
};

struct state_header {
    char magic[8];
    uint32_t layout;     /* STATE_LAYOUT */
    uint32_t uid;        /* effective uid of the creator */
    uint64_t epoch;      /* random; (epoch, seq) names an event for ever */
    uint64_t size;       /* of the part that every process maps; behind it lie the segments */
    uint64_t created_ns; /* CLOCK_REALTIME */
    char instance[64];
    char host[64]; /* nodename of the creator */
    struct state_section section[SECTIONS];
    uint64_t refused; /* identity of the config that was refused last, so that it is said once */
    uint64_t boot;    /* of the host when the file was made, or taken over after another boot (boot.h); 0: not known */
    uint8_t zero[40];
    /* Read at every connect and close, hardly ever written: one cache line. */
    _Alignas(64) uint64_t control; /* see control.h; 0: nothing overridden */
    uint64_t generation;           /* of the policy; live slot = generation & 1; 0: none published */
    uint64_t quarantines;          /* sources found not to be on this host, ever; 0: none need be looked for */
    uint64_t names;                /* names in use */
    /* Written with every event: one cache line, which moves once between processors. */
    _Alignas(64) uint64_t next_seq; /* of the next event */
    struct {
        uint64_t head; /* number of the next cell */
    } ring[RINGS];
    /* Drawn by each process, or connection, while the override stands between its ends. */
    _Alignas(64) uint64_t next_process; /* processes that drew a place in the canary sequence */
    uint64_t next_connection;           /* connections that did */
    /* Written when the file grows. The segments lie behind header.size, in a hole of the file until they are taken. */
    _Alignas(64) uint8_t segment[256]; /* [SEGMENTS]: enum segment_kind */
    uint16_t open_taken[256];          /* [OPEN_BLOCKS]: chunks that have an owner, about: where to look first */
    uint64_t no_room[NO_ROOMS];        /* NO_ROOM_MET, NO_ROOM_SAID; 0: there always was some */
    uint64_t history_turn;             /* which of the further pages of the history is taken next, about */
    uint64_t zero1[5];
    uint8_t of_pairs[256];       /* [PAIR_SEGMENTS]: which segment, plus 1; 0: there is none */
    uint64_t block[BLOCKS / 64]; /* a bit for each BLOCK_BYTES from the file's beginning: something is there */
};

/* One cell of a ring. number is the cell's number in the ring's life plus 1, so that 0 means never written; it is
 * written last (release). check covers number, part, parts and payload. */
struct cell {
    uint64_t number;
    uint32_t check;
    uint8_t part, parts; /* 0-based; 1..EVENT_CELLS_MAX */
    uint16_t zero;
    uint64_t payload[CELL_PAYLOAD / 8];
};

/* What is known about one (network namespace, source, destination). Times: CLOCK_MONOTONIC, ns. */
struct pair {
    uint64_t zero;
    uint64_t hold_until;     /* full: do not try before */
    uint64_t probe_next;     /* when one caller may try all the same; or a second and what was told in it */
    uint64_t unusable_until; /* unreachable from this source, or (destination 0) not on this host */
    int32_t open;            /* connections open through this instance */
    uint32_t hold_count;     /* EADDRNOTAVAIL met; for people */
    uint64_t last_used;
    uint32_t time_wait[16]; /* per 4 s: 12 bits of the period's number, 20 bits of count */
    uint8_t range_hint;     /* index of the port range to begin with; the ones before it were full */
    uint8_t search;         /* so many connects search the range instead of taking their turn (pair_port) */
    uint16_t port_turn;     /* of the ports inside the ephemeral range: first in, first out */
    uint32_t port_cursor;   /* of the ports bound explicitly: first in, first out */
    uint64_t inside_until;  /* ports inside the ephemeral range are taken; or events turned away (pair_within_budget) */
    /* Whose SYNs are answered. A cache line that is written once in 100 ms while they are. */
    uint64_t answered_ns;   /* when the youngest connect began that was answered */
    uint64_t counted_ns;    /* when the last one was found unanswered */
    uint64_t down_until;    /* marked down until then, and for the next period except for one connect; 0: not */
    uint16_t unanswered;    /* in a row, while siblings were answered */
    uint16_t suspect;       /* the last one is still to be confirmed: no sibling has been answered since */
    uint16_t port, rule_id; /* these and the addresses: for people, once it is marked down */
    struct addr source, destination;
};

/* key: pair_key, a hash of the three; 0: free. Taken by compare-and-swap. A pair lies in one of PAIR_WAYS places beside
 * each other; when those are taken, in a segment of the next level (pair_table.h). */
struct pair_table {
    uint64_t key[PAIRS];
    struct pair pair[PAIRS];
};

struct pair_block {
    uint64_t key[PAIR_BLOCK];
    struct pair pair[PAIR_BLOCK];
    uint64_t zero[272];
};

/* What became of the connects of one arm under one rule from one source, as far as the threads of one lane made them:
 * readers add the lanes up. What nearly every connection adds to comes last, in a cache line of its own. */
enum stat_counter {
    STAT_CONNECTS,    /* left at 0: the sum of the buckets below, one of which each connect adds to */
    STAT_RECOVERED,   /* one of the two that succeeded, after an EADDRNOTAVAIL that the client did not see */
    STAT_FALLBACK,    /* the client's own call was made in the end */
    STAT_FAILED,      /* the client saw EADDRNOTAVAIL */
    STAT_REFUSED,     /* ECONNREFUSED */
    STAT_TIMED_OUT,   /* ETIMEDOUT */
    STAT_UNREACHABLE, /* ENETUNREACH, EHOSTUNREACH, ENETDOWN */
    STAT_DENIED,      /* EACCES, EPERM */
    STAT_OTHER_ERROR,
    STAT_SYN_TIMEOUT,            /* no answer: closed in SYN_SENT, failed since the call returned, or ETIMEDOUT */
    STAT_IMMEDIATE,              /* connect returned 0 */
    STAT_IN_PROGRESS,            /* EINPROGRESS, or EINTR with the handshake going on */
    STAT_SPREAD,                 /* left through a source or port range of ours */
    STAT_CLOSED,                 /* closes by fate: STAT_CLOSED + enum fate, five of them */
    STAT_RARE = STAT_CLOSED + 5, /* counter[] ends here; the rest is in rare[] */
    /* A client's own bind(address, 0). It has no rule, for bind does not know the destination. */
    STAT_BIND_IN_USE = STAT_RARE, /* EADDRINUSE: no port was left */
    STAT_BIND_NOT_LOCAL,          /* EADDRNOTAVAIL */
    STAT_LATE_FAILED, /* of STAT_FAILED, without a rule: we had put off the bind's port, or bind would have failed */
    STAT_ERRNO,       /* connects by errno, see stats_errno(); of these the groups above are the sums */
    STAT_COUNTERS = STAT_ERRNO + 10,
    STAT_BUCKETS = 24 /* of time inside connect(): bucket i counts < 2^i us, the last one everything */
};

struct stat_entry {
    uint64_t key;       /* stats_key(); 0: free */
    struct addr source; /* ::, the kernel's choice */
    uint16_t rule_id;
    uint8_t arm, lane;
    uint8_t prefix; /* source is all addresses of these first bits; 0: it is one */
    uint8_t zero[3];
    uint64_t zero1[2]; /* so that STAT_IMMEDIATE begins a cache line */
    uint64_t counter[STAT_RARE];
    uint64_t connect_ns; /* sum of time inside connect() */
    uint64_t bucket[STAT_BUCKETS];
    uint64_t rare[STAT_COUNTERS - STAT_RARE];
    uint64_t zero2[2];
};

/* owner: pid. born_ns: CLOCK_BOOTTIME when it was drawn: a process of that pid that started later is another one. */
struct place {
    uint64_t owner, born_ns, number, zero;
};

/* A connection that a process has open, so that what a killed process left behind can be named, and what an exec
 * closed. Written by its owner alone, word last (release); read by the owner's next image and by the tool. */
struct open_entry {
    struct addr local, peer;
    uint16_t local_port, peer_port; /* local_port 0: not known, the kernel chose it and was not asked; written last */
    uint16_t rule_id, pool_id;
    uint64_t connected_ns; /* CLOCK_REALTIME; 0: not known, it was inherited */
    uint32_t token;        /* of an MPTCP connection; 0: plain TCP; UINT32_MAX: perhaps MPTCP, not asked */
    uint8_t word;          /* enum open_word */
    uint8_t direction;     /* enum direction */
    uint8_t verdict;       /* with OPEN_TO_EXEC, OPEN_TO_EXIT: see open_phase, open_fate */
    uint8_t counted;       /* enum open_counted */
    uint64_t marked_ns;    /* with OPEN_TO_EXEC, OPEN_TO_EXIT: CLOCK_REALTIME */
};

/* enum tcp_state just before the end, and enum fate expected, in one byte. Neither is checked. */
static inline uint8_t open_verdict(unsigned phase, unsigned fate) {
    return (uint8_t)((phase & 15) | fate << 4);
}
static inline uint8_t open_phase(const struct open_entry *h) {
    return h->verdict & 15;
}
static inline uint8_t open_fate(const struct open_entry *h) {
    return h->verdict >> 4;
}

static inline struct tuple open_tuple(const struct open_entry *h) {
    return tuple_of(&h->local, h->local_port, &h->peer, h->peer_port);
}

/* OPEN_TO_EXEC: an exec is about to close it. OPEN_TO_EXIT: its owner is exiting and could not know which other
 * processes hold it.
 */
enum open_word { OPEN_FREE, OPEN_NOW, OPEN_TO_EXEC, OPEN_TO_EXIT };

/* Counted as open in the pair of its local address, or in that of ::, when the kernel chose the address later. */
enum open_counted { OPEN_UNCOUNTED, OPEN_COUNTED, OPEN_COUNTED_ANY };

/* Connections of one process; a process takes as many chunks as it needs. */
struct open_chunk {
    uint64_t born_ns; /* CLOCK_BOOTTIME when it was taken: a process of that pid that started later is another one */
    uint64_t seen_ns; /* CLOCK_REALTIME when the owner last wrote here */
    uint64_t pid_namespace; /* inode of /proc/self/ns/pid */
    uint64_t netns;         /* cookie */
    char program[24];
    uint8_t arm, zero[7];
    struct open_entry entry[OPEN_PER_CHUNK];
};

/* owner: pid, 0: free; taken by compare-and-swap. While a tool reaps what a dead owner left: tool << 32 | pid.
 * Beside each other, so that all are seen in a few pages, and none of a segment. Chunk n from OPEN_FIRST on is number
 * (n - OPEN_FIRST) % OPEN_BLOCK of segment (n - OPEN_FIRST) / OPEN_BLOCK, if that is SEGMENT_OPEN. */
struct open_table {
    uint64_t owner[OPEN_CHUNKS];
    struct open_chunk chunk[OPEN_FIRST];
};

/* What is counted of a flow besides its connects: how its connections ended, what EADDRNOTAVAIL came to, and why. */
enum history_counter {
    HISTORY_TIME_WAITS, /* closes that left one here */
    HISTORY_CLOSES,     /* all others */
    HISTORY_RECOVERED,  /* EADDRNOTAVAIL met, and left through another source or range */
    HISTORY_FALLBACK,
    HISTORY_FAILED,
    HISTORY_CAUSE, /* + enum cause, of each of those three */
    HISTORY_COUNTERS = HISTORY_CAUSE + HISTORY_CAUSES
};

/* One flow in one minute; see history.h. */
struct history_entry {
    uint64_t connects; /* number << 38 | sum of us inside connect(): one addition for both */
    uint32_t count[HISTORY_COUNTERS];
    uint32_t peak; /* of quadruplets taken, open and in TIME-WAIT, as far as it was looked at */
    uint64_t netns;
    struct addr source, destination;
    char program[HISTORY_PROGRAM]; /* NUL-padded */
    uint16_t port, zero;
};

/* A page. who: minute since 1970 << 32 | history_key; key 0: being made. rest: of everything that has no entry:
 * connects, us, then the counters, each of them minute << 40 | count, so that a word of another minute is seen.
 * further: minute << 32 | number of the first further page, plus 1. Of such a page (history_pages.h): minute << 32 | 1,
 * and the first words of rest are what further is in the minute's own, of the two below it. */
struct history_minute {
    uint64_t who[HISTORY_FLOWS], further;
    struct history_entry flow[HISTORY_FLOWS];
    uint64_t rest[HISTORY_REST];
};

_Static_assert(sizeof(struct cell) == CELL_BYTES, "cell");
_Static_assert(sizeof(struct pair) == 192, "pair");
_Static_assert(sizeof(struct pair_block) == SEGMENT_BYTES, "a segment of pairs");
_Static_assert(sizeof(struct stat_entry) == 512, "stat_entry");
_Static_assert(sizeof(struct open_entry) == 64, "open_entry");
_Static_assert(sizeof(struct open_chunk) == 4096, "open_chunk");
_Static_assert(OPEN_BLOCK * sizeof(struct open_chunk) == SEGMENT_BYTES, "a segment of chunks");
_Static_assert(OPEN_BLOCKS <= 256 && SEGMENTS <= 256, "the header has room");
_Static_assert(sizeof(struct history_entry) == 120, "history_entry");
_Static_assert(sizeof(struct history_minute) == 4096, "history_minute");
_Static_assert(HISTORY_BLOCK * sizeof(struct history_minute) == SEGMENT_BYTES, "a segment of pages");
_Static_assert(sizeof(struct state_header) <= 4096, "header");

#endif
