#include "tool/common/time_text.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

static const uint64_t second_us = 1000000;

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Exactly width digits. */
static bool parse_digits(const char **p, unsigned width, unsigned *out) {
    unsigned n = 0;
    for (unsigned i = 0; i < width; i++) {
        if (!is_digit((*p)[i]))
            return false;
        n = n * 10 + (unsigned)((*p)[i] - '0');
    }
    *p += width;
    *out = n;
    return true;
}

static bool parse_char(const char **p, char c) {
    if (**p != c)
        return false;
    (*p)++;
    return true;
}

/* ".123456789" or nothing. */
static bool parse_fraction(const char **p, uint64_t *us) {
    uint64_t unit = second_us / 10;
    *us = 0;
    if (!parse_char(p, '.'))
        return true;
    if (!is_digit(**p))
        return false;
    for (; is_digit(**p); (*p)++, unit /= 10)
        *us += unit * (uint64_t)(**p - '0');
    return true;
}

static unsigned days_in_month(unsigned year, unsigned month) {
    static const unsigned char days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (leap && month == 2 ? 1u : 0u);
}

/* "2026-11-21", not before 1970, as microseconds. */
static bool parse_date(const char **p, uint64_t *us) {
    unsigned year, month, day;
    if (!parse_digits(p, 4, &year) || !parse_char(p, '-') || !parse_digits(p, 2, &month) || !parse_char(p, '-') ||
        !parse_digits(p, 2, &day))
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    uint64_t days = day - 1;
    for (unsigned m = 1; m < month; m++)
        days += days_in_month(year, m);
    unsigned before = year - 1; /* leap days of all years up to it, less the 477 before 1970 */
    days += (uint64_t)(year - 1970) * 365 + before / 4 - before / 100 + before / 400 - 477;
    *us = days * 86400 * second_us;
    return true;
}

/* "03:27[:59[.123]]"; 60 is a leap second and taken as the next minute's first. */
static bool parse_clock(const char **p, bool seconds_needed, uint64_t *us) {
    unsigned hour, minute, second = 0;
    uint64_t fraction = 0;
    if (!parse_digits(p, 2, &hour) || !parse_char(p, ':') || !parse_digits(p, 2, &minute))
        return false;
    if (parse_char(p, ':')) {
        if (!parse_digits(p, 2, &second) || !parse_fraction(p, &fraction))
            return false;
    } else if (seconds_needed) {
        return false;
    }
    if (hour > 23 || minute > 59 || second > 60)
        return false;
    *us = (hour * 3600u + minute * 60u + second) * second_us + fraction;
    return true;
}

/* "Z" or "+01:00"; moves *us to UTC. */
static bool parse_zone(const char **p, uint64_t *us) {
    unsigned hours, minutes;
    if (parse_char(p, 'Z') || parse_char(p, 'z'))
        return true;
    bool east = **p == '+';
    if (!parse_char(p, '+') && !parse_char(p, '-'))
        return false;
    if (!parse_digits(p, 2, &hours) || !parse_char(p, ':') || !parse_digits(p, 2, &minutes) || hours > 23 ||
        minutes > 59)
        return false;
    uint64_t offset = (hours * 3600u + minutes * 60u) * second_us;
    if (east && *us < offset)
        return false;
    *us = east ? *us - offset : *us + offset;
    return true;
}

bool time_from_rfc3339(const char *text, uint64_t *out_us) {
    uint64_t date, clock;
    if (!parse_date(&text, &date))
        return false;
    if (!parse_char(&text, 'T') && !parse_char(&text, 't'))
        return false;
    if (!parse_clock(&text, true, &clock))
        return false;
    clock += date;
    if (!parse_zone(&text, &clock) || *text)
        return false;
    *out_us = clock;
    return true;
}

/* RFC 3339 with what people leave out. */
static bool loose_date(const char *text, uint64_t *out_us) {
    uint64_t date, clock = 0;
    if (!parse_date(&text, &date))
        return false;
    if (*text) {
        if (!parse_char(&text, 'T') && !parse_char(&text, 't') && !parse_char(&text, ' '))
            return false;
        if (!parse_clock(&text, false, &clock))
            return false;
    }
    clock += date;
    if (*text && !parse_zone(&text, &clock))
        return false;
    *out_us = clock;
    return *text == 0;
}

static bool today(const char *text, uint64_t now_us, uint64_t *out_us) {
    uint64_t clock, day = 86400 * second_us;
    if (!parse_clock(&text, false, &clock))
        return false;
    (void)parse_char(&text, 'Z');
    *out_us = now_us / day * day + clock;
    return *text == 0;
}

static bool epoch_seconds(const char *text, uint64_t *out_us) {
    uint64_t seconds = 0, fraction;
    (void)parse_char(&text, '@');
    if (!is_digit(*text))
        return false;
    for (; is_digit(*text); text++) {
        seconds = seconds * 10 + (uint64_t)(*text - '0');
        if (seconds > UINT32_MAX * (uint64_t)100)
            return false;
    }
    if (!parse_fraction(&text, &fraction) || *text)
        return false;
    *out_us = seconds * second_us + fraction;
    return true;
}

static uint64_t parse_unit(const char **p) {
    static const struct {
        char name[4];
        uint32_t seconds;
    } units[] = {{"s", 1}, {"min", 60}, {"m", 60}, {"h", 3600}, {"d", 86400}, {"w", 604800}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t length = strlen(units[i].name);
        if (strncmp(*p, units[i].name, length) == 0) {
            *p += length;
            return units[i].seconds * second_us;
        }
    }
    return 0;
}

/* "10m", "-10m", "1h30m ago": all before now. */
static bool relative(const char *text, uint64_t now_us, uint64_t *out_us) {
    static const uint64_t longest = 100 * 365 * UINT64_C(86400) * 1000000;
    uint64_t sum = 0;
    (void)parse_char(&text, '-');
    do {
        uint64_t n = 0;
        if (!is_digit(*text))
            return false;
        for (; is_digit(*text) && n < UINT32_MAX; text++)
            n = n * 10 + (uint64_t)(*text - '0');
        uint64_t unit = parse_unit(&text);
        if (unit == 0 || n > longest / unit)
            return false;
        sum += n * unit;
    } while (is_digit(*text) && sum <= longest);
    if (*text && strcmp(text, " ago") != 0)
        return false;
    *out_us = sum < now_us ? now_us - sum : 0;
    return true;
}

const char *time_from_text(const char *text, uint64_t now_us, uint64_t *out_us) {
    uint64_t us = now_us;
    if (strcmp(text, "now") != 0 && !loose_date(text, &us) && !today(text, now_us, &us) &&
        !relative(text, now_us, &us) && !epoch_seconds(text, &us))
        return "a time such as 2026-11-21T03:27:59Z, 03:27 or 03:27:59 (today, UTC), 10m or 2h (ago), now, or seconds "
               "since "
               "1970";
    *out_us = us;
    return NULL;
}

uint64_t time_now_us(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * second_us + (uint64_t)t.tv_nsec / 1000;
}
