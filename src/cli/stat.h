/* stat.h - the parts of `connspread stat`: what is read out of a state file, and how it is printed. */
#ifndef CONNSPREAD_CLI_STAT_H
#define CONNSPREAD_CLI_STAT_H

#include "cli/compare.h"
#include "cli/locate.h"
#include "cli/stat_files.h"
#include "net/parse.h"
#include "state/event.h"

enum { STAT_OCCUPANCIES = 256, STAT_DOWNS = 256 };
#define STAT_COMPARES ((uint64_t)1 << 32) /* of rules with quadruplets: no bound */
enum stat_format { STAT_AS_TEXT, STAT_AS_JSON, STAT_AS_PROMETHEUS };

/* One arm's connects under one rule from one source. The state file is untrusted: what does not fit its own key is left
 * out, and what has the same name is added up, so that each triple is there once. */
struct stat_row {
    enum arm arm;
    char rule[POLICY_TITLE]; /* empty: no rule matched, or an accepted connection */
    struct addr address;
    char source[ADDR_TEXT]; /* of it; "any": the kernel's choice */
    uint64_t counter[STAT_COUNTERS];
    double connect_seconds;
    uint64_t bucket[STAT_BUCKETS];
};

/* How full a rule's source is towards its fullest destination, in the network namespace of whoever asks. */
struct stat_occupancy {
    char rule[POLICY_TITLE];
    char source[ADDR_TEXT];
    uint64_t taken, capacity;
};

/* A source that is marked down for a destination, because its SYNs are not answered while its siblings' are. */
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
    char stale[STATE_PATH]; /* why it is dead; empty: it is not, or nobody looked */
    bool has_policy;
    struct control control;
    struct settings settings;
    uint64_t counter[ARMS][COUNTERS];
    struct stat_row *row; /* [STATS], or n_rows of a report that is kept */
    unsigned n_rows;
    struct stat_occupancy *occupancy; /* [STAT_OCCUPANCIES]; the same */
    unsigned n_occupancies;
    struct stat_down *down; /* [STAT_DOWNS]; the same */
    unsigned n_downs;       /* all of them, also those beyond down[] */
};

/* Room for one report, with free(). NULL: no memory. */
struct stat_report *stat_report_new(void);

/* The same report in no more memory than it needs, with free(). NULL: no memory. */
struct stat_report *stat_report_keep(const struct stat_report *r);

/* Reads all but the occupancy. f may be NULL: who uses it is not known. */
void stat_take(struct stat_report *out, const struct state *s, const char *path, const struct state_file *f);

/* Adds the sources that are marked down now. Called by stat_take. */
void stat_take_downs(struct stat_report *out, const struct state *s);

/* Adds the occupancy, from the sockets of this network namespace as they were at the first call. budget: how often a
 * rule may still be compared with a quadruplet; what a hostile policy asks for beyond that is left out. False: errno
 * says why they cannot be listed. */
bool stat_take_occupancy(struct stat_report *out, const struct state *s, uint64_t *budget);

/* What happened between two readings of the same file. */
void stat_subtract(struct stat_report *now, const struct stat_report *before);

/* The mode and canary in force. */
unsigned stat_mode(const struct stat_report *r);
unsigned stat_canary(const struct stat_report *r);

/* Did the client's connect fail, as far as the shim can see? One that was in progress and was given up before the
 * handshake was done counts too; one that was in progress and refused later does not show. */
uint64_t stat_failed(const uint64_t counter[STAT_COUNTERS]);

/* All that matched a rule in one arm. */
void stat_arm(const struct stat_report *r, enum arm arm, struct compare_arm *out);

/* Is there anything to compare: has the canary arm carried connections, and the control arm? */
void stat_compare(const struct stat_report *r, struct comparison *out);

/* Names for JSON and Prometheus, in snake case; NULL for numbers that have none. */
const char *stat_counter_name(unsigned counter); /* enum stat_counter */
const char *stat_counter_help(unsigned counter);
const char *counter_name(unsigned counter); /* enum counter */
const char *counter_help(unsigned counter);

void stat_print_text(const struct stat_report *r);
void stat_print_json(const struct stat_report *r);
/* All reports at once: every metric once, with the samples of all. */
void stat_print_prometheus(const struct stat_report *const *reports, size_t n);
int stat_all(const struct location *where, enum stat_format format); /* of every instance; returns the exit status */
void stat_print_comparison(const struct stat_report *r, bool json);

#endif
