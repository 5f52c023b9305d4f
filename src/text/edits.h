/* edits.h - how far two words are from each other, to name what may have been meant. Pure. */
#ifndef CONNSPREAD_TEXT_EDITS_H
#define CONNSPREAD_TEXT_EDITS_H

/* Letters to add, to remove or to change that make b of a. A word of more than EDITS_WORD letters is EDITS_WORD from
 * any other. */
enum { EDITS_WORD = 24 };
unsigned edits_between(const char *a, const char *b);

#endif
