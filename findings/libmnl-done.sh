#!/bin/sh
# libmnl 1.0.4, mnl_cb_run(). One would guess that a dump which the kernel ends early, with an error in its NLMSG_DONE
# message, comes back as -1 with errno, as NLMSG_ERROR does. libmnl looks at the message's type only and returns 0
# (MNL_CB_STOP), as for a dump that is whole.
# Why it matters: who counts TIME-WAITs or conntrack entries with libmnl may take a part for the whole.
. "$(dirname "$0")/lib.sh"
packages libmnl0=1.0.4-3
cat >"$root/done.py" <<'END'
import ctypes, struct, sys
mnl = ctypes.CDLL(sys.argv[1], use_errno=True)
NLMSG_ERROR, NLMSG_DONE, NLM_F_MULTI, ENOBUFS, SEQ = 2, 3, 2, 105, 7
def answer(kind, code, extra=b""):
    text = struct.pack("=IHHIIi", 20 + len(extra), kind, NLM_F_MULTI, SEQ, 0, code) + extra
    ctypes.set_errno(0)
    return mnl.mnl_cb_run(text, ctypes.c_size_t(len(text)), SEQ, 0, None, None), ctypes.get_errno()
print("done", answer(NLMSG_DONE, 0))
print("done with error", answer(NLMSG_DONE, -ENOBUFS))
print("error", answer(NLMSG_ERROR, -ENOBUFS, bytes(16)))
END
lib=$(find "$root" -name 'libmnl.so.0.*')
run out python3 "$root/done.py" "$lib"
expect '^done \(0, 0\)' "$root/out"
expect '^done with error \(0, 0\)' "$root/out"
expect '^error \(-1, 105\)' "$root/out"
found
