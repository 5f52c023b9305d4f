/* prometheus.h - connspread stat -o prometheus: the text exposition format 0.0.4, with the samples of a metric
 * together. Labels: instance, arm, rule, source and nothing else, so that their number is bounded by the config. */
#ifndef CONNSPREAD_TOOL_STAT_PROMETHEUS_H
#define CONNSPREAD_TOOL_STAT_PROMETHEUS_H

#include "tool/stat/model.h"

/* All reports at once: every metric once, with the samples of all. */
void stat_print_prometheus(const struct stat_report *const *reports, size_t n);

#endif
