/* values.h - one value: what the field calls it, what is wrong with it, what would be right. */
#ifndef CONNSPREAD_CONFIG_VALUES_H
#define CONNSPREAD_CONFIG_VALUES_H

#include "config/reading.h"

/* values.c: each reports and returns false if the value is not one. */
bool value_choice(struct reading *r, const struct entry *e, const char *const names[], uint8_t *out);

bool value_number(struct reading *r, const struct entry *e, unsigned low, unsigned high, uint8_t *out);

bool value_flag(struct reading *r, const struct entry *e, uint8_t *out);

bool value_duration(struct reading *r, const struct entry *e, const char *low, const char *high, uint32_t *out_ms);

bool value_text(struct reading *r, const struct entry *e, const char *what, char *out, size_t size);

/* KEY: "VALUE" what: right */
void value_wrong(struct reading *r, const struct entry *e, const char *what, const char *right);

#endif
