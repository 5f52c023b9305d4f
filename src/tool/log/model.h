/* model.h - which events `connspread log` is asked for, and in which form. */
#ifndef CONNSPREAD_TOOL_LOG_MODEL_H
#define CONNSPREAD_TOOL_LOG_MODEL_H

#include <stdbool.h>

#include <stdint.h>

#include "policy/policy.h"
#include "tool/events/fields.h"
#include "tool/log/last.h"
#include "tool/host/netns.h"
#include "tool/screen/screen.h"

struct last_lines;
struct netns_seen;

struct log_request {
    bool follow, json;
    enum event_schema schema;    /* of json */
    uint64_t since_us, until_us; /* inclusive */
    uint32_t kinds;              /* bit per enum event_kind */
    bool has_pid, has_to, has_source;
    uint32_t pid;
    struct policy_target to, source;
    const char *program;      /* a glob; NULL: any */
    struct last_lines *last;  /* NULL: all of them */
    struct screen screen;     /* of text */
    struct netns_seen *netns; /* where incidents of other network namespaces were */
};

#endif
