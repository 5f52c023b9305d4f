/* model.h - which events `connspread log` is asked for, and in which form. */
#ifndef CONNSPREAD_TOOL_LOG_MODEL_H
#define CONNSPREAD_TOOL_LOG_MODEL_H

#include <stdbool.h>

#include <stdint.h>

struct log_request {
    bool follow, json;
    uint64_t since_us, until_us; /* inclusive */
    uint32_t kinds;              /* bit per enum event_kind */
    bool has_pid;
    uint32_t pid;
};

#endif
