/* take.h - What a state file counts, copied out. Any process of its owner may have scribbled over it: nothing read here
 * is used as an index before it was checked, and nothing is printed as it stands. */
#ifndef CONNSPREAD_TOOL_STAT_TAKE_H
#define CONNSPREAD_TOOL_STAT_TAKE_H

#include "tool/stat/model.h"
#include "tool/reader/state_files.h"
#include "tool/stat/compare.h"

struct compare_arm;
struct comparison;
struct state_file;

/* Reads all but the occupancy. f may be NULL: which processes use it is not known. */
void stat_take(struct stat_report *out, const struct state *s, const char *path, const struct state_file *f);

/* What happened between two readings of the same file. */
void stat_subtract(struct stat_report *now, const struct stat_report *before);

/* The mode and canary in force. */
unsigned stat_mode(const struct stat_report *r);

unsigned stat_canary(const struct stat_report *r);

/* How old the events may be that the recorder has not written; 0: it has written all. */
double stat_behind_s(const struct stat_report *r);

/* Did the client's connect fail, as far as the shim can see? One that was in progress and was given up before the
 * handshake was done counts too; one that was in progress and refused later does not show. */
uint64_t stat_failed(const uint64_t counter[STAT_COUNTERS]);

/* All that matched a rule in one arm. */
void stat_arm(const struct stat_report *r, enum arm arm, struct compare_arm *out);

/* Is there anything to compare: has the canary arm carried connections, and the control arm? */
void stat_compare(const struct stat_report *r, struct comparison *out);

/* Room for one report, with free(). NULL: no memory. */
struct stat_report *stat_report_new(void);

/* The same report in no more memory than it needs, with free(). NULL: no memory. */
struct stat_report *stat_report_keep(const struct stat_report *r);

#endif
