/* Text that fits a screen: tables, lines, help. */
#include "suite.h"

#include <stdlib.h>
#include <string.h>

#include "tool/screen/cells.h"
#include "tool/screen/columns.h"
#include "tool/screen/help.h"
#include "tool/screen/wrap.h"

static char *text;
static size_t size;

static struct screen narrow(unsigned width) {
    free(text);
    text = NULL;
    return (struct screen){open_memstream(&text, &size), width, false};
}

static void printed(const struct screen *s, const char *want) {
    ck_assert_int_eq(fclose(s->out), 0);
    ck_assert_str_eq(text, want);
}

START_TEST(characters_take_their_columns) {
    ck_assert_uint_eq(cells_width("abc", 3), 3);
    ck_assert_uint_eq(cells_width("数é", 5), 3);
    ck_assert_uint_eq(cells_width("e\xcc\x81", 3), 1); /* with a mark of its own */
    ck_assert_uint_eq(cells_width("\xf0\x9f", 2), 1);  /* cut short: nothing beyond its end is read */
    ck_assert_uint_eq(cells_fit("a数据", 7, 4), 4);    /* no half character */
    ck_assert_uint_eq(cells_fit("a数据", 7, 5), 7);
}
END_TEST

START_TEST(lines_are_broken_at_spaces) {
    struct screen s = narrow(12);
    wrap_print(&s, "one two three four\n  five", 4);
    printed(&s, "one two\n    three\n    four\n  five\n");
    s = narrow(12);
    wrap_print(&s, "abcdefghijklmnopqrst", 4);
    printed(&s, "abcdefghijkl\n    mnopqrst\n");
    s = narrow(12);
    wrap_print(&s, "        abcdefgh", 10); /* a hang beyond the half is none */
    printed(&s, "        abcd\n    efgh\n");
    s = narrow(0);
    wrap_print(&s, "one two three four", 4);
    printed(&s, "one two three four\n");
}
END_TEST

START_TEST(colour_of_a_word) {
    struct screen s = narrow(12);
    s.colours = true;
    wrap_print_painted(&s, "one two three", 4, (struct wrap_paint){COLOUR_BAD, 8, 5});
    printed(&s, "one two\n    \033[31mthree\033[0m\n");
}
END_TEST

static void table(const struct screen *s) {
    static const struct column column[] = {{"name", 8, .right = false},
                                           {"good", 6, .right = true, .may_go = true},
                                           {"bad", 6, .right = true, .may_go = true}};
    struct columns *t = columns_begin(column, 3, 2, 2);
    columns_cell(t, "x");
    columns_number(t, 1234567);
    columns_number(t, 0);
    columns_cell(t, "abcdefghijklmnop");
    columns_number(t, 1);
    columns_number(t, 0);
    columns_print(t, s);
}

START_TEST(columns_give_way_in_their_order) {
    struct screen s = narrow(0);
    table(&s);
    printed(&s, "  name                   good     bad\n"
                "  x                 1,234,567       0\n"
                "  abcdefghijklmnop          1       0\n");
    s = narrow(36);
    table(&s);
    printed(&s, "  name                   good  bad\n"
                "  x                 1,234,567    0\n"
                "  abcdefghijklmnop          1    0\n");
    s = narrow(30); /* the column of zeros goes */
    table(&s);
    printed(&s, "  name                   good\n"
                "  x                 1,234,567\n"
                "  abcdefghijklmnop          1\n"
                "  (not shown, 0 in every row:\n"
                "      bad)\n");
    s = narrow(20); /* a row goes on in a further line */
    table(&s);
    printed(&s, "  name\n"
                "           good\n"
                "  x\n"
                "      1,234,567\n"
                "  abcdefghijklmnop\n"
                "              1\n"
                "  (not shown, 0 in\n"
                "      every row:\n"
                "      bad)\n");
}
END_TEST

START_TEST(a_cell_is_cut_in_its_middle_last) {
    static const struct column column[] = {{"address", 0, .right = false}};
    struct screen s = narrow(20);
    struct columns *t = columns_begin(column, 1, 0, 2);
    columns_cell(t, "fd00:1:2:3:4:5:6:7/数据库");
    columns_print(t, &s);
    printed(&s, "address\nfd00:1:2:..:7/数据库\n");
}
END_TEST

START_TEST(help_is_filled_anew) {
    struct screen s = narrow(24);
    help_print(&s, "usage: connspread x [-a]\n"
                   "                    [-b]\n"
                   "\n"
                   "Does this and that and\n"
                   "more.\n"
                   "Exits.\n"
                   "\n"
                   "  -a, --all    all of it,\n"
                   "               really\n"
                   "  -b           b\n");
    printed(&s, "usage: connspread x [-a]\n"
                "                    [-b]\n"
                "\n"
                "Does this and that and\n"
                "more.\n"
                "Exits.\n"
                "\n"
                "  -a, --all    all of\n"
                "    it, really\n"
                "  -b           b\n");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("screen");
    TCase *t = tcase_create("screen");
    tcase_add_test(t, characters_take_their_columns);
    tcase_add_test(t, lines_are_broken_at_spaces);
    tcase_add_test(t, colour_of_a_word);
    tcase_add_test(t, columns_give_way_in_their_order);
    tcase_add_test(t, a_cell_is_cut_in_its_middle_last);
    tcase_add_test(t, help_is_filled_anew);
    suite_add_tcase(suite, t);
    return run(suite);
}
