/* trial.h - can programs be supervised here? Tried on a child that does nothing else. */
#ifndef CONNSPREAD_TOOL_SUPERVISE_TRIAL_H
#define CONNSPREAD_TOOL_SUPERVISE_TRIAL_H

enum trial_step {
    TRIAL_WORKS,
    TRIAL_DESCRIPTORS, /* pidfd_open, pidfd_getfd, process_vm_readv: Yama, a container's profile, a kernel before 5.6 */
    TRIAL_FILTER,      /* seccomp: a profile, a listener that is there already, a kernel before 5.0 */
    TRIAL_CLOSES       /* the kernel does not tell of closes: they would not be logged */
};

struct trial {
    enum trial_step failed;
    int error; /* errno */
};

struct trial trial_run(void);

#endif
