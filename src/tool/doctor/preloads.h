/* preloads.h - which other libraries are preloaded into what starts from here, in which order, and what becomes of
 * LD_PRELOAD on the way. */
#ifndef CONNSPREAD_TOOL_DOCTOR_PRELOADS_H
#define CONNSPREAD_TOOL_DOCTOR_PRELOADS_H

#include "tool/doctor/facts.h"
#include "tool/doctor/findings.h"

/* LD_PRELOAD of this environment, and /etc/ld.so.preload. */
void doctor_read_preloads(struct host_facts *f);

/* The same from its two texts (NULL: none). */
void doctor_note_preloads(struct host_facts *f, const char *environment, const char *file);

/* Pure. */
void doctor_judge_preloads(const struct host_facts *f, struct findings *out);

#endif
