#include "tool/page/remedies.h"

#include <stdio.h>
#include <string.h>

#include "tool/page/commands.h"
#include "tool/page/write.h"
#include "tool/report/advice.h"

/* Each line is marked and copied by itself. */
static void print_commands(FILE *out, char *lines) {
    page_plain(out, PAGE_COMMANDS);
    for (char *end; *lines; lines = end) {
        end = lines + strcspn(lines, "\n");
        if (*end)
            *end++ = 0;
        page_text(out, PAGE_COMMAND, lines);
    }
    page_plain(out, PAGE_COMMANDS_END);
}

static void print_one(FILE *out, const struct finding *f, enum remedy remedy) {
    char text[REPORT_WORDS], command[COMMAND_TEXT];
    words_remedy(text, f, remedy);
    PAGE_WRITE(out, PAGE_REMEDY, SLOT("name", remedy_name(remedy)), SLOT("text", text));
    if (commands_for(command, f, remedy))
        print_commands(out, command);
    page_plain(out, PAGE_REMEDY_END);
}

static void print_list(FILE *out, const struct finding *f) {
    page_plain(out, PAGE_REMEDIES);
    for (unsigned i = 0; i < f->conclusion.n_remedies; i++)
        print_one(out, f, f->conclusion.remedy[i]);
    page_plain(out, PAGE_REMEDIES_END);
}

void remedies_print(const struct page *p) {
    const struct report *r = p->report;
    char text[128];
    PAGE_WRITE(p->out, PAGE_SECTION, SLOT("id", "do"), SLOT("title", "What to do"));
    page_text(p->out, PAGE_PARAGRAPH,
              r->n_findings ? "The least intrusive comes first. What stands in capitals is for you to fill in."
              : r->good     ? "Nothing: no call failed for want of a port or an address."
                            : "Make the report again once all of the input can be read.");
    for (unsigned i = 0; i < page_incidents(p); i++) {
        snprintf(text, sizeof text, "For incident %u: %s%s%s", i + 1, conclusion_name(r->finding[i].conclusion.kind),
                 r->finding[i].destination[0] ? ", " : "", r->finding[i].destination);
        if (i > 0)
            page_text(p->out, PAGE_DETAILS, text);
        print_list(p->out, &r->finding[i]);
        if (i > 0)
            page_plain(p->out, PAGE_DETAILS_END);
    }
    page_plain(p->out, PAGE_SECTION_END);
}
