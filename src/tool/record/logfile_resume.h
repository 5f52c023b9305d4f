/* logfile_resume.h - After a recorder that was killed: what the file has that the journal does not know. */
#ifndef CONNSPREAD_TOOL_RECORD_LOGFILE_RESUME_H
#define CONNSPREAD_TOOL_RECORD_LOGFILE_RESUME_H

#include "tool/record/logfile.h"

/* Notes in the journal what the file has of this epoch and the journal does not know, and ends a last line that has no
 * end. To be called before anything is written. */
void logfile_resume(struct logfile *l, uint64_t epoch);

/* Of a line as we write them: its epoch and number. False: it is none of ours. Pure. */
bool logfile_line_number(const char *line, size_t length, uint64_t *epoch, uint64_t *seq);

#endif
