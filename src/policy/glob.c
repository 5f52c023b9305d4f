/* Runs inside the client: see the rules in policy.h. */
#include "policy/glob.h"

#include <stddef.h>

/* One bracket expression at *pattern (behind its '['). False in *closed if it has no end: then '[' means itself. */
static bool bracket_fits(const char **pattern, unsigned char c, bool *closed) {
    const unsigned char *p = (const unsigned char *)*pattern;
    bool negated = *p == '!' || *p == '^', found = false;
    if (negated)
        p++;
    for (const unsigned char *start = p; *p && (*p != ']' || p == start);) {
        unsigned char low, high;
        if (*p == '\\' && p[1])
            p++;
        low = high = *p++;
        if (*p == '-' && p[1] && p[1] != ']') {
            p++;
            if (*p == '\\' && p[1])
                p++;
            high = *p++;
        }
        found |= low <= c && c <= high;
    }
    *closed = *p == ']';
    if (*closed)
        *pattern = (const char *)p + 1;
    return found != negated;
}

/* One pattern character, not a star, against c; moves *pattern behind it. */
static bool one_fits(const char **pattern, char c) {
    const char *p = *pattern;
    bool closed;
    if (*p == '?') {
        *pattern = p + 1;
        return true;
    }
    if (*p == '[') {
        const char *rest = p + 1;
        bool fits = bracket_fits(&rest, (unsigned char)c, &closed);
        if (closed) {
            *pattern = rest;
            return fits;
        }
    }
    if (*p == '\\' && p[1])
        p++;
    *pattern = p + 1;
    return *p == c;
}

bool policy_glob(const char *pattern, const char *text) {
    const char *star = NULL, *resume = NULL; /* the last star, and how far it has eaten */
    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
            continue;
        }
        if (*pattern && one_fits(&pattern, *text)) {
            text++;
            continue;
        }
        if (!star)
            return false;
        pattern = star;
        text = ++resume;
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}
