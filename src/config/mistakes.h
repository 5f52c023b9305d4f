/* mistakes.h - what is wrong with a config file, collected so that one run shows all of it. */
#ifndef CONNSPREAD_CONFIG_MISTAKES_H
#define CONNSPREAD_CONFIG_MISTAKES_H

#include <stdbool.h>
#include <stddef.h>

enum { MISTAKES_KEPT = 100, MISTAKE_TEXT = 256 };

/* All zero is the empty list. */
struct mistakes {
    int count; /* found, without the notes */
    int kept;  /* of both, those that have a text: the first MISTAKES_KEPT */
    struct mistake {
        int line; /* 0: the file as a whole */
        bool note;
        char text[MISTAKE_TEXT];
    } mistake[MISTAKES_KEPT];
};

/* One mistake, without file and line. What does not print is shown as '?', what is too long is cut. */
void mistake_add(struct mistakes *m, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Something that is no mistake, and yet may not be what was meant. */
void mistake_note(struct mistakes *m, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Back to the first count mistakes; there are no notes yet. */
void mistakes_truncate(struct mistakes *m, int count);

/* Writes "FILE:LINE: text\n" for each in the order of lines, only whole lines unless not even the first one fits; the
 * notes if there is no mistake. size may be 0. Returns the number of mistakes. */
int mistakes_write(struct mistakes *m, const char *file, char *errors, size_t size);

#endif
