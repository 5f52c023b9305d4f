/* model.h - the parts of `connspread stat`: what is read out of a state file, and how it is printed. */
#ifndef CONNSPREAD_TOOL_STAT_MODEL_H
#define CONNSPREAD_TOOL_STAT_MODEL_H

#include "text/parse.h"
#include "state/layout.h"
#include "state/state.h"
#include "tool/record/journal_read.h"

enum { STAT_OCCUPANCIES = 256, STAT_DOWNS = 256 };
#define STAT_COMPARES ((uint64_t)1 << 32) /* of rules with quadruplets: no bound */
enum stat_format { STAT_AS_TEXT, STAT_AS_JSON, STAT_AS_PROMETHEUS };

/* One arm's connects under one rule from one source. The state file is untrusted: what does not fit its own key is left
 * out, and what has the same name is added up, so that each triple is there once. */
struct stat_row {
    enum arm arm;
    char rule[POLICY_TITLE]; /* empty: no rule matched, or an accepted connection */
    struct addr address;
    char source[ADDR_TEXT]; /* of it; "any": the kernel's choice; ADDRESS/LENGTH: all of this prefix */
    bool prefix;
    uint64_t counter[STAT_COUNTERS]; /* enum stat_counter */
    double connect_seconds;
    uint64_t bucket[STAT_BUCKETS];
};

/* How full a rule's source is towards its fullest destination, in the network namespace of this command. */
struct stat_occupancy {
    char rule[POLICY_TITLE];
    char source[ADDR_TEXT];
    uint64_t taken, capacity;
};

/* A source that is marked down for a destination, because its SYNs are not answered while its siblings' are. Or, with
 * STAT_ENDPOINT for a source, one of a rule's other endpoints (also-to) that did not answer. */
#define STAT_ENDPOINT "*"
struct stat_down {
    char rule[POLICY_TITLE];
    char source[ADDR_TEXT];
    char destination[ENDPOINT_TEXT];
    unsigned unanswered; /* connects in a row */
    unsigned retry_s;    /* until it is tried again; 0: by the next connect */
};

/* Copied out of one state file. */
struct stat_report {
    char path[STATE_PATH];
    char instance[STATE_INSTANCE];
    char label[STATE_PATH]; /* for Prometheus: the instance, unless another one has that name */
    size_t order;           /* among all that are printed */
    uint32_t uid;
    uint64_t created_us;
    unsigned users;
    bool users_known;
    char stale[STATE_PATH]; /* why it is dead; empty: it is not, or it was not looked at */
    bool has_policy;
    struct control control;
    struct settings settings;
    uint64_t counter[ARMS][COUNTERS];
    bool recorded; /* log.file is set: progress says how far its recorder is */
    struct journal_progress progress;
    struct stat_row *row; /* [STATS], or n_rows of a report that is kept */
    unsigned n_rows;
    struct stat_occupancy *occupancy; /* [STAT_OCCUPANCIES]; the same */
    unsigned n_occupancies;
    struct stat_down *down; /* [STAT_DOWNS]; the same */
    unsigned n_downs;       /* all of them, also those beyond down[] */
};

#endif
