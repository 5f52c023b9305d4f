/* history_reader.h - Reading the history: copies, each checked against its own key. Tool only. */
#ifndef CONNSPREAD_STATE_HISTORY_READER_H
#define CONNSPREAD_STATE_HISTORY_READER_H

#include "state/history.h"

/* From the oldest minute on that the file still has, to the newest. now: minute since 1970 of the reader's clock, so
 * that minutes in its future are not believed. */
void history_reader_init(struct history_reader *r, const struct state *s, uint32_t now);

/* The next minute in which anything happened; false: no more. Reads the file as untrusted: entries whose labels do not
 * make their key are added to the rest. */
bool history_next(struct history_reader *r, struct history_view *out);

#endif
