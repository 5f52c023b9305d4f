#include "tool/host/counters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/common/text_file.h"

int64_t number_in(const char *path) {
    char *text = text_file(path), *end = NULL;
    int64_t value = text ? strtoll(text, &end, 10) : 0;
    if (!text || end == text)
        value = COUNTER_UNKNOWN;
    free(text);
    return value;
}

int64_t ipv4_sysctl(const char *name) {
    char path[128];
    (void)snprintf(path, sizeof path, "/proc/sys/net/ipv4/%s", name);
    return number_in(path);
}

/* The n-th word of a line; its length, 0: there is none. */
static size_t nth_word(const char **line, unsigned n) {
    for (;; n--) {
        *line += strspn(*line, " \t");
        size_t length = strcspn(*line, " \t\n");
        if (length == 0 || n == 0)
            return length;
        *line += length;
    }
}

/* Which word of the line is name? -1: none. */
static int find_word(const char *line, const char *name) {
    for (int i = 0;; i++) {
        line += strspn(line, " \t");
        size_t length = strcspn(line, " \t\n");
        if (length == 0)
            return -1;
        if (length == strlen(name) && memcmp(line, name, length) == 0)
            return i;
        line += length;
    }
}

static const char *next_line(const char *text) {
    const char *end = strchr(text, '\n');
    return end ? end + 1 : text + strlen(text);
}

int64_t netstat_counter(const char *netstat, const char *name) {
    for (const char *names = netstat; *names; names = next_line(names)) {
        const char *values = next_line(names);
        int at = strncmp(names, "TcpExt:", 7) == 0 && strncmp(values, "TcpExt:", 7) == 0 ? find_word(names, name) : -1;
        if (at >= 0 && nth_word(&values, (unsigned)at) > 0)
            return strtoll(values, NULL, 10);
    }
    return COUNTER_UNKNOWN;
}

int64_t conntrack_column(const char *table, const char *name) {
    int at = find_word(table, name);
    int64_t sum = 0;
    if (at < 0)
        return COUNTER_UNKNOWN;
    for (const char *line = next_line(table); *line; line = next_line(line)) {
        const char *word = line;
        if (nth_word(&word, (unsigned)at) > 0)
            sum += (int64_t)strtoul(word, NULL, 16);
    }
    return sum;
}

int64_t sockstat_time_waits(const char *sockstat) {
    for (const char *line = sockstat; *line; line = next_line(line)) {
        int at = strncmp(line, "TCP:", 4) == 0 ? find_word(line, "tw") : -1;
        if (at >= 0 && nth_word(&line, (unsigned)at + 1) > 0)
            return strtoll(line, NULL, 10);
    }
    return COUNTER_UNKNOWN;
}
