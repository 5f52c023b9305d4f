/* doctor.h - gathering, judging, printing. */
#ifndef CONNSPREAD_TOOL_DOCTOR_DOCTOR_H
#define CONNSPREAD_TOOL_DOCTOR_DOCTOR_H

#include "tool/doctor/facts.h"

/* --- gathering: each fills its part of the facts, and leaves unknown what it cannot find out --- */

void doctor_read_sysctls(struct host_facts *f);
void doctor_read_conntrack(struct host_facts *f);
void doctor_look_at_sockets(struct host_facts *f);
void doctor_try_features(struct host_facts *f);
/* Needs f->ports. Asks the kernel about each port of the ephemeral range: some 0.1 s. */
void doctor_find_holders(struct host_facts *f);

/* "TcpExt: A B\nTcpExt: 1 2\n" of /proc/net/netstat: a counter of TcpExt; FACT_UNKNOWN: it is not there. Pure. */
int64_t netstat_counter(const char *netstat, const char *name);
/* /proc/net/stat/nf_conntrack: a line of names, then hexadecimal lines, one a processor: the column's sum. Pure. */
int64_t conntrack_column(const char *table, const char *name);
/* "TCP: inuse 5 orphan 0 tw 3 ..." of /proc/net/sockstat. Pure. */
int64_t sockstat_time_waits(const char *sockstat);

/* --- judging: pure --- */

enum severity { SEVERITY_ACTION, SEVERITY_ADVICE, SEVERITY_UNKNOWN, SEVERITY_OK, SEVERITIES };

enum { FINDINGS = 40, FINDING_TEXT = 768 };
struct finding {
    const char *name;
    enum severity severity;
    char reason[FINDING_TEXT]; /* one sentence */
    char remedy[FINDING_TEXT]; /* empty for SEVERITY_OK */
};
struct findings {
    struct finding finding[FINDINGS];
    unsigned n;
};

/* All of it, in an order that does not depend on severity. */
void doctor_judge(const struct host_facts *f, struct findings *out);
void doctor_judge_holders(const struct host_facts *f, struct findings *out); /* a part of that */
void doctor_judge_program(const struct host_facts *f, struct findings *out);

struct finding *findings_add(struct findings *out, enum severity severity, const char *name);
void finding_reason(struct finding *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void finding_remedy(struct finding *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
