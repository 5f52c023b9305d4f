#include "tool/common/children.h"

#include <signal.h>
#include <stdbool.h>

static bool were_ignored;

void children_can_be_waited_for(void) {
    if (signal(SIGCHLD, SIG_DFL) == SIG_IGN)
        were_ignored = true;
}

void children_as_given(void) {
    if (were_ignored)
        (void)signal(SIGCHLD, SIG_IGN);
}
