#include "tool/stat/compare.h"

/* By Newton's method: libm would be a library for one function. x >= 0. */
static double square_root(double x) {
    double r = x > 1 ? x : 1;
    if (!(x > 0))
        return 0;
    for (int i = 0; i < 1100; i++) { /* halves at first; then doubles its digits */
        double next = (r + x / r) / 2;
        if (next >= r)
            break;
        r = next;
    }
    return r;
}

uint64_t histogram_count(const uint64_t bucket[STAT_BUCKETS]) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < STAT_BUCKETS; i++)
        sum = bucket[i] > UINT64_MAX - sum ? UINT64_MAX : sum + bucket[i];
    return sum;
}

double histogram_quantile_us(const uint64_t bucket[STAT_BUCKETS], double p) {
    double wanted = p * (double)histogram_count(bucket), seen = 0;
    for (unsigned i = 0; i < STAT_BUCKETS; i++) {
        double n = (double)bucket[i], high = (double)(1u << i), low = i ? high / 2 : 0;
        if (n > 0 && seen + n >= wanted)
            return low + (high - low) * (wanted - seen) / n;
        seen += n;
    }
    return 0;
}

void compare_wilson(uint64_t hits, uint64_t n, double z, double *low, double *high) {
    const double z2 = z * z;
    if (n == 0) {
        *low = 0;
        *high = 1;
        return;
    }
    double size = (double)n, p = (double)hits / size;
    double middle = (p + z2 / (2 * size)) / (1 + z2 / size);
    double half = z * square_root(p * (1 - p) / size + z2 / (4 * size * size)) / (1 + z2 / size);
    *low = hits == 0 || middle < half ? 0 : middle - half;
    *high = hits >= n || middle + half > 1 ? 1 : middle + half;
}

void compare_shares(uint64_t canary_hits, uint64_t canary_n, uint64_t control_hits, uint64_t control_n, double z,
                    struct compare_share *out) {
    double low1, high1, low2, high2;
    double p1 = canary_n ? (double)canary_hits / (double)canary_n : 0;
    double p2 = control_n ? (double)control_hits / (double)control_n : 0;
    compare_wilson(canary_hits, canary_n, z, &low1, &high1);
    compare_wilson(control_hits, control_n, z, &low2, &high2);
    *out = (struct compare_share){.canary = p1, .control = p2, .difference = p1 - p2};
    out->low = out->difference - square_root((p1 - low1) * (p1 - low1) + (high2 - p2) * (high2 - p2));
    out->high = out->difference + square_root((high1 - p1) * (high1 - p1) + (p2 - low2) * (p2 - low2));
}

static enum compare_verdict judge_share(const struct compare_share *s) {
    if (s->low > 0 && s->difference > COMPARE_SHARE)
        return COMPARE_WORSE;
    if (s->high < 0 && s->difference < -COMPARE_SHARE)
        return COMPARE_BETTER;
    return s->low > -COMPARE_SHARE_MOST && s->high < COMPARE_SHARE_MOST ? COMPARE_SAME : COMPARE_TOO_FEW;
}

/* Mann-Whitney's U as z. Values in one bucket are ties. */
static double rank_z(const uint64_t a[STAT_BUCKETS], const uint64_t b[STAT_BUCKETS]) {
    double n1 = (double)histogram_count(a), n2 = (double)histogram_count(b), n = n1 + n2;
    double below = 0, u = 0, ties = 0;
    for (unsigned i = 0; i < STAT_BUCKETS; i++) {
        double x = (double)a[i], y = (double)b[i], t = x + y;
        u += x * (below + y / 2);
        below += y;
        ties += t * t * t - t;
    }
    if (n1 < 1 || n2 < 1 || n < 3)
        return 0;
    double variance = n1 * n2 / 12 * (n + 1 - ties / (n * (n - 1)));
    return variance > 0 ? (u - n1 * n2 / 2) / square_root(variance) : 0;
}

static void compare_times(const struct compare_arm *canary, const struct compare_arm *control,
                          struct compare_times *out) {
    out->canary_us = histogram_quantile_us(canary->bucket, 0.5);
    out->control_us = histogram_quantile_us(control->bucket, 0.5);
    out->z = rank_z(canary->bucket, control->bucket);
    out->verdict = COMPARE_SAME;
    if (out->z > COMPARE_Z && out->canary_us > COMPARE_RATIO * out->control_us &&
        out->canary_us - out->control_us > COMPARE_MEDIAN_US)
        out->verdict = COMPARE_WORSE;
    if (out->z < -COMPARE_Z && out->control_us > COMPARE_RATIO * out->canary_us &&
        out->control_us - out->canary_us > COMPARE_MEDIAN_US)
        out->verdict = COMPARE_BETTER;
}

static uint64_t slow(const struct compare_arm *a) {
    uint64_t high[STAT_BUCKETS] = {0};
    for (unsigned i = COMPARE_SLOW_BUCKET; i < STAT_BUCKETS; i++)
        high[i] = a->bucket[i];
    return histogram_count(high);
}

static enum compare_verdict verdict_of(const struct comparison *c) {
    const enum compare_verdict all[] = {c->failed.verdict, c->slow.verdict, c->times.verdict};
    static const enum compare_verdict order[] = {COMPARE_WORSE, COMPARE_BETTER, COMPARE_TOO_FEW};
    for (unsigned i = 0; i < sizeof order / sizeof *order; i++)
        for (unsigned j = 0; j < sizeof all / sizeof *all; j++)
            if (all[j] == order[i])
                return order[i];
    return COMPARE_SAME;
}

void compare_arms(const struct compare_arm *canary, const struct compare_arm *control, struct comparison *out) {
    uint64_t timed1 = histogram_count(canary->bucket), timed2 = histogram_count(control->bucket);
    bool few = canary->connects < COMPARE_MIN_CONNECTS || control->connects < COMPARE_MIN_CONNECTS;
    compare_shares(canary->failed, canary->connects, control->failed, control->connects, COMPARE_Z, &out->failed);
    compare_shares(slow(canary), timed1, slow(control), timed2, COMPARE_Z, &out->slow);
    out->failed.verdict = judge_share(&out->failed);
    out->slow.verdict = judge_share(&out->slow);
    compare_times(canary, control, &out->times);
    out->verdict = few ? COMPARE_TOO_FEW : verdict_of(out);
}

const char *compare_verdict_name(enum compare_verdict v) {
    static const char *const name[COMPARE_VERDICTS] = {
        [COMPARE_TOO_FEW] = "not enough data",
        [COMPARE_SAME] = "same",
        [COMPARE_BETTER] = "better",
        [COMPARE_WORSE] = "worse",
    };
    return v < COMPARE_VERDICTS ? name[v] : "unknown";
}
