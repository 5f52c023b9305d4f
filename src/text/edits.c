#include "text/edits.h"

#include <string.h>

unsigned edits_between(const char *a, const char *b) {
    unsigned row[EDITS_WORD + 1];
    size_t length_a = strlen(a), length_b = strlen(b);
    if (length_a > EDITS_WORD || length_b > EDITS_WORD)
        return EDITS_WORD;
    for (unsigned j = 0; j <= length_b; j++)
        row[j] = j;
    for (unsigned i = 1; i <= length_a; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= length_b; j++) {
            unsigned replace = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            unsigned other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = replace < other ? replace : other;
        }
    }
    return row[length_b];
}
