/* meant.h - values that are not what they seem: what was probably meant by one that does not parse, or that parses as
 * something else. Pure. Not used inside the client. */
#ifndef CONNSPREAD_TEXT_MEANT_H
#define CONNSPREAD_TEXT_MEANT_H

#include <stdbool.h>

enum { MEANT_TEXT = 192 };

struct meant {
    const char *what;       /* what is wrong: "is a list in one string" */
    char right[MEANT_TEXT]; /* what to write instead */
};

/* Each is false if there is nothing to say beyond what the parser of its kind says (text/parse.h). */
bool meant_source(const char *text, struct meant *out);
bool meant_target(const char *text, struct meant *out);
bool meant_ports(const char *text, struct meant *out);

#endif
