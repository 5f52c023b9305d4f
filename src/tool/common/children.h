/* children.h - SIGCHLD. Where the process that started this one has left it ignored, a child leaves no status behind,
 * and nothing tells of its end. */
#ifndef CONNSPREAD_TOOL_COMMON_CHILDREN_H
#define CONNSPREAD_TOOL_COMMON_CHILDREN_H

/* From then on children can be waited for. */
void children_can_be_waited_for(void);

/* As it was before: for the program that is executed in the place of this one. */
void children_as_given(void);

#endif
