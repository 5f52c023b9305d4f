/* cli.h - what the commands of the tool share. */
#ifndef CONNSPREAD_CLI_CLI_H
#define CONNSPREAD_CLI_CLI_H

/* Exit statuses of every command but run, which exits as its command does. */
enum { EXIT_DONE, EXIT_FOUND, EXIT_USAGE };

/* Each takes its own name as argv[0] and returns the exit status. */
int run_main(int argc, char **argv);
int check_main(int argc, char **argv);
int log_main(int argc, char **argv);
int stat_main(int argc, char **argv);
int report_main(int argc, char **argv);
int set_main(int argc, char **argv);
int reload_main(int argc, char **argv);
int prune_main(int argc, char **argv);
int quads_main(int argc, char **argv);
int doctor_main(int argc, char **argv);

/* One line on stderr: "connspread: " and the message. And one on stdout. Of both, what could move a terminal's cursor
 * or begin another line is '?' (foreign_text.h). */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Lines of text as they are, but for the same characters. */
void complain_lines(const char *text);

#endif
