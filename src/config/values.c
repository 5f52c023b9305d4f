#include "config/values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/reading.h"
#include "text/parse.h"

void value_wrong(struct reading *r, const struct entry *e, const char *what, const char *right) {
    if (strchr(e->text, SOURCE_POISON) == NULL) /* else it has been reported already */
        mistake_add(r->m, e->line, "%s: \"%.80s\" %s; try: %s", r->key, e->text, what, right);
}

bool value_choice(struct reading *r, const struct entry *e, const char *const names[], uint8_t *out) {
    char right[160] = "";
    size_t used = 0;
    for (uint8_t i = 0; names[i]; i++) {
        if (strcmp(e->text, names[i]) == 0) {
            *out = i;
            return true;
        }
        const char *join = i == 0 ? "" : names[i + 1] ? ", " : " or ";
        int n = snprintf(right + used, sizeof right - used, "%s\"%s\"", join, names[i]);
        if (n > 0 && (size_t)n < sizeof right - used)
            used += (size_t)n;
    }
    value_wrong(r, e, "is not one of its values", right);
    return false;
}

bool value_number(struct reading *r, const struct entry *e, unsigned low, unsigned high, uint8_t *out) {
    char *end, right[64];
    unsigned long value = strtoul(e->text, &end, 10);
    size_t digits = strspn(e->text, "0123456789");
    if (digits == 0 || digits > 4 || *end != '\0' || value < low || value > high) {
        snprintf(right, sizeof right, "a whole number from %u to %u", low, high);
        value_wrong(r, e, "is not in range", right);
        return false;
    }
    *out = (uint8_t)value;
    return true;
}

bool value_flag(struct reading *r, const struct entry *e, uint8_t *out) {
    static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no", "off"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        bool is_yes = strcasecmp(e->text, yes[i]) == 0;
        if (is_yes || strcasecmp(e->text, no[i]) == 0) {
            *out = is_yes;
            return true;
        }
    }
    value_wrong(r, e, "is neither true nor false", "true or false");
    return false;
}

bool value_duration(struct reading *r, const struct entry *e, const char *low, const char *high, uint32_t *out_ms) {
    uint32_t ms = 0, low_ms = 0, high_ms = 0;
    char right[64];
    const char *wrong = parse_duration(e->text, &ms);
    if (wrong) {
        value_wrong(r, e, "is not a duration", wrong);
        return false;
    }
    parse_duration(low, &low_ms);
    parse_duration(high, &high_ms);
    if (ms < low_ms || ms > high_ms) {
        snprintf(right, sizeof right, "%s to %s", low, high);
        value_wrong(r, e, "is not in range", right);
        return false;
    }
    *out_ms = ms;
    return true;
}

bool value_text(struct reading *r, const struct entry *e, const char *what, char *out, size_t size) {
    size_t length = strlen(e->text);
    char right[64];
    snprintf(right, sizeof right, "%s of 1 to %zu bytes", what, size - 1);
    if (strchr(e->text, SOURCE_POISON))
        return false;
    if (length == 0 || length >= size) {
        value_wrong(r, e, length == 0 ? "is empty" : "is too long", right);
        return false;
    }
    for (const char *c = e->text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            value_wrong(r, e, "has control characters", right);
            return false;
        }
    memset(out, 0, size);
    memcpy(out, e->text, length);
    return true;
}
