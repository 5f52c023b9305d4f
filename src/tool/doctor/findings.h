/* findings.h - what doctor has to say: findings, each with its reason and its remedy. */
#ifndef CONNSPREAD_TOOL_DOCTOR_FINDINGS_H
#define CONNSPREAD_TOOL_DOCTOR_FINDINGS_H

enum severity { SEVERITY_ERROR, SEVERITY_WARNING, SEVERITY_UNKNOWN, SEVERITY_OK, SEVERITIES };

enum { FINDINGS = 40, FINDING_TEXT = 1024 };
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

struct finding *findings_add(struct findings *out, enum severity severity, const char *name);

void finding_reason(struct finding *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

void finding_remedy(struct finding *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
