/* reading.h - what the parts of the config loader share while one file is being read. Internal to src/config. */
#ifndef CONNSPREAD_CONFIG_READING_H
#define CONNSPREAD_CONFIG_READING_H

#include <ifaddrs.h>

#include "config/mistakes.h"
#include "config/source.h"
#include "policy/policy.h"

enum { PORT_BITMAP = 65536 / 8 };

/* One value as it stands in the file. */
struct entry {
    int line;
    char text[];
};

/* The addresses of one scope of a pool, merged as they come. */
struct source_list {
    struct policy_source range[POOL_SOURCES];
    unsigned count;
};

struct reading {
    struct policy *out;
    struct mistakes *m;
    const struct source *source;
    bool stopped; /* libconfuse gave up early: what is missing may stand further down */

    /* Of the section being compiled. */
    const char *section, *key;
    struct policy_pool *pool;
    struct policy_rule *rule;
    struct source_list sources[SCOPE_COUNT];
    uint8_t ports[PORT_BITMAP];
    bool has_ports, has_exclusions, has_pool;
    int section_line, section_mistakes, ports_line, exclusions_line;

    struct ifaddrs *interfaces; /* of this host, listed when a name is first met */
};

/* One key of a section. A list is taken one value at a time. */
struct key {
    const char *name;
    bool list;
    void (*take)(struct reading *r, const struct entry *e);
};

/* Tables end with a NULL name. */
extern const struct key config_root_keys[], config_log_keys[], config_pool_keys[], config_rule_keys[];

/* Before and after the keys of a titled section; begin returns false if the section cannot be kept. given tells
 * which of the rule's keys the file has at all. */
bool config_pool_begin(struct reading *r, const char *title, int line);
void config_pool_end(struct reading *r);
bool config_rule_begin(struct reading *r, const char *title, int line);
void config_rule_end(struct reading *r, bool has_to);

/* grammar.c: libconfuse over r->source->text; calls the tables above. */
void config_grammar(struct reading *r);

/* values.c: each reports and returns false if the value is not one. */
bool value_choice(struct reading *r, const struct entry *e, const char *const names[], uint8_t *out);
bool value_number(struct reading *r, const struct entry *e, unsigned low, unsigned high, uint8_t *out);
bool value_flag(struct reading *r, const struct entry *e, uint8_t *out);
bool value_duration(struct reading *r, const struct entry *e, const char *low, const char *high, uint32_t *out_ms);
bool value_text(struct reading *r, const struct entry *e, const char *what, char *out, size_t size);
/* KEY: "VALUE" what: right */
void value_wrong(struct reading *r, const struct entry *e, const char *what, const char *right);

/* ranges.c. sources_add joins overlapping and adjacent ranges; false: no room. */
bool sources_add(struct source_list *list, const struct policy_source *source);
void ports_add(uint8_t bitmap[PORT_BITMAP], struct port_range range);
void ports_remove(uint8_t bitmap[PORT_BITMAP], struct port_range range);
/* Writes the ranges of a bitmap in order, at most max of them, and returns how many there are. */
unsigned ports_ranges(const uint8_t bitmap[PORT_BITMAP], struct port_range out[], unsigned max);
/* net.ipv4.ip_local_port_range of this process, or the kernel's default if it cannot be read. */
struct port_range ports_ephemeral(void);

/* interfaces.c. Calls add with each address of an interface; returns how many, or -1 if there is no such interface. */
int interface_sources(const struct ifaddrs *all, const char *name,
                      void (*add)(void *context, const struct policy_source *), void *context);
/* Index of the interface that holds an address; 0: none does. */
uint32_t interface_of(const struct ifaddrs *all, const struct addr *a);

#endif
