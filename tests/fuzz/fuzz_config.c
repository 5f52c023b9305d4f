/* Any bytes as a config file: no crash, no exit, and a message for each mistake (a config without one may have notes).
 */
#include <stdlib.h>
#include <string.h>

#include "config/load.h"
#include "net/addr.h"
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct policy policy;
    static struct match match;
    char errors[4096];
    int count = config_parse("f", (const char *)data, size, &policy, errors, sizeof errors);
    if (count < 0 || (count > 0 && errors[0] == '\0'))
        abort();
    if (count == 0) {
        struct endpoint destination = {.addr = addr_from_v4(0x0a000001), .port = 80};
        policy_match(&policy, &destination, "program", &match);
        for (unsigned i = 0; i < policy.n_rules; i++)
            if (policy.rule[i].title[0] == '\0' || memchr(policy.rule[i].title, '\0', POLICY_TITLE) == NULL)
                abort();
    }
    return 0;
}
