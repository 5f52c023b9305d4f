#include "tool/record/wanted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/control.h"
#include "tool/common/message.h"
#include "tool/common/settings.h"

bool record_wanted(const struct state *s, char log_file[RECORD_PATH]) {
    struct policy *policy = malloc(sizeof *policy);
    bool wanted = policy && state_policy(s, policy) && policy->log_file[0] == '/' &&
                  memchr(policy->log_file, 0, sizeof policy->log_file);
    if (wanted)
        snprintf(log_file, RECORD_PATH, "%s", policy->log_file);
    free(policy);
    return wanted;
}

bool record_named(const struct location *where, char log_file[RECORD_PATH]) {
    struct policy *policy = calloc(1, sizeof *policy);
    bool loaded = policy && settings_load(where, policy);
    bool wanted = loaded && policy->log_file[0] == '/';
    if (wanted)
        snprintf(log_file, RECORD_PATH, "%s", policy->log_file);
    else if (loaded)
        warn("%s belongs to another user, whose log.file is not taken; try: log { file = \"/PATH\" } in %s",
             where->state_file, where->config[0] ? where->config : "a config (-c)");
    free(policy);
    return wanted;
}
