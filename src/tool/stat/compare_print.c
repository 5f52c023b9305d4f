#include "tool/stat/compare_print.h"

#include <stdio.h>

#include "tool/common/strbuf.h"
#include "tool/stat/model.h"
#include "tool/stat/take.h"
#include "tool/stat/compare.h"
#include "tool/screen/wrap.h"

enum { WHAT = 25 };

static void print_share(const char *what, const struct compare_share *s) {
    const struct screen to = screen_stdout();
    wrap_printf(&to, WHAT, "%-24s %9.3f %% %9.3f %%   difference %+.3f points, 99 %% confidence %+.3f to %+.3f: %s",
                what, 100 * s->canary, 100 * s->control, 100 * s->difference, 100 * s->low, 100 * s->high,
                compare_verdict_name(s->verdict));
}

static void print_text(const struct comparison *c, const struct compare_arm *canary,
                       const struct compare_arm *control) {
    const struct screen to = screen_stdout();
    printf("%-24s %11s %11s\n", "", "canary", "control");
    printf("%-24s %11llu %11llu\n", "connects under a rule", (unsigned long long)canary->connects,
           (unsigned long long)control->connects);
    print_share("failed", &c->failed);
    print_share("took 0.5 s or longer", &c->slow);
    wrap_printf(&to, WHAT, "%-24s %8.0f us %8.0f us   Mann-Whitney z %+.2f (beyond %.2f at 1 %%): %s", "median time",
                c->times.canary_us, c->times.control_us, c->times.z, COMPARE_Z, compare_verdict_name(c->times.verdict));
    printf("verdict: %s\n", compare_verdict_name(c->verdict));
}

static void json_share(const char *name, const struct compare_share *s) {
    printf(
        ",\"%s\":{\"canary\":%.6f,\"control\":%.6f,\"difference\":%.6f,\"low\":%.6f,\"high\":%.6f,\"verdict\":\"%s\"}",
        name, s->canary, s->control, s->difference, s->low, s->high, compare_verdict_name(s->verdict));
}

static void json_arm(const char *name, const struct compare_arm *a) {
    printf(",\"%s\":{\"connects\":%llu,\"failed\":%llu}", name, (unsigned long long)a->connects,
           (unsigned long long)a->failed);
}

static void json_instance(const struct stat_report *r) {
    char out[6 * STATE_INSTANCE + 3];
    struct strbuf s;
    strbuf_init(&s, out, sizeof out);
    strbuf_json(&s, r->instance, sizeof r->instance);
    (void)strbuf_finish(&s);
    printf("{\"instance\":%s", out);
}

void stat_print_comparison(const struct stat_report *r, bool json) {
    struct compare_arm canary, control;
    struct comparison c;
    stat_arm(r, ARM_ENFORCE, &canary);
    stat_arm(r, ARM_CONTROL, &control);
    stat_compare(r, &c);
    if (!json) {
        print_text(&c, &canary, &control);
        return;
    }
    json_instance(r);
    json_arm("canary", &canary);
    json_arm("control", &control);
    json_share("failed", &c.failed);
    json_share("slow", &c.slow);
    printf(",\"median_us\":{\"canary\":%.1f,\"control\":%.1f,\"z\":%.3f,\"verdict\":\"%s\"}", c.times.canary_us,
           c.times.control_us, c.times.z, compare_verdict_name(c.times.verdict));
    printf(",\"verdict\":\"%s\"}\n", compare_verdict_name(c.verdict));
}
