/* doctor.h - the command `connspread doctor`. */
#ifndef CONNSPREAD_TOOL_DOCTOR_DOCTOR_H
#define CONNSPREAD_TOOL_DOCTOR_DOCTOR_H

/* argv[0]: its own name. Returns the exit status (tool/common/message.h). */
int doctor_main(int argc, char **argv);

#endif
