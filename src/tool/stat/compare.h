/* compare.h - canary against control: the arithmetic. Pure: no files, no output.
 *
 * Three things are compared. The share of connects that failed, and the share that were slow (a lost SYN is sent again
 * after a second): each with a 99 % confidence interval for the difference of two proportions, Newcombe's hybrid score
 * interval (method 10, from two Wilson intervals). And the time inside connect(): the two-sided Mann-Whitney test
 * on the histogram, normal approximation with correction for ties, at 1 %.
 * Not 95 %: an operator asks again and again, three questions each time, and would get a wrong answer in up to one of
 * seven.
 *
 * With enough connections every difference becomes significant, so one must also matter: more than half a percentage
 * point; medians more than a fifth and 100 us apart (what the shim itself does takes a few us). */
#ifndef CONNSPREAD_TOOL_STAT_COMPARE_H
#define CONNSPREAD_TOOL_STAT_COMPARE_H

#include <stdbool.h>

#include "state/layout.h"

enum { COMPARE_MIN_CONNECTS = 50, COMPARE_SLOW_BUCKET = 20 /* from 2^19 us = 0.52 s on */ };

#define COMPARE_Z          2.575829 /* 99 %, two-sided */
#define COMPARE_SHARE      0.005    /* differences of shares below do not matter */
#define COMPARE_SHARE_MOST 0.02     /* "same" must rule out a difference as large as this */
#define COMPARE_RATIO      1.2      /* of medians */
#define COMPARE_MEDIAN_US  100.0    /* difference of medians */

enum compare_verdict { COMPARE_TOO_FEW, COMPARE_SAME, COMPARE_BETTER, COMPARE_WORSE, COMPARE_VERDICTS };

/* What one arm did. failed <= connects; the buckets are those of struct stat_entry. */
struct compare_arm {
    uint64_t connects, failed;
    uint64_t bucket[STAT_BUCKETS];
};

/* Of the canary's share minus the control's. */
struct compare_share {
    double canary, control, difference, low, high;
    enum compare_verdict verdict;
};

struct compare_times {
    double canary_us, control_us; /* medians */
    double z;                     /* > 0: the canary is slower */
    enum compare_verdict verdict;
};

struct comparison {
    struct compare_share failed, slow;
    struct compare_times times;
    enum compare_verdict verdict; /* worse if one is worse, else better if one is better, else too few if one is */
};

void compare_arms(const struct compare_arm *canary, const struct compare_arm *control, struct comparison *out);

/* "better", "same", "worse", "not enough data" */
const char *compare_verdict_name(enum compare_verdict v);

/* Wilson's score interval for hits of n; z: 1.959964 is 95 %. */
void compare_wilson(uint64_t hits, uint64_t n, double z, double *low, double *high);

/* hits of n in either arm: all of *out but the verdict. */
void compare_shares(uint64_t canary_hits, uint64_t canary_n, uint64_t control_hits, uint64_t control_n, double z,
                    struct compare_share *out);

/* The p-quantile (0..1) of a histogram of times, in us, linear within a bucket; 0 when it is empty. */
double histogram_quantile_us(const uint64_t bucket[STAT_BUCKETS], double p);

/* The sum, saturating. */
uint64_t histogram_count(const uint64_t bucket[STAT_BUCKETS]);

#endif
