#!/bin/sh
# libmnl 1.0.4, mnl_cb_run2(). It takes a table of callbacks for control messages, by type. One would guess that a type
# whose place is empty is handled as without a table: NLMSG_ERROR ends the call with -1 and errno. It is passed over
# instead, and the call goes on to the next message, or returns 1 as if more were to come.
# Why it matters: a program that only wants to look at NLMSG_DONE by itself waits for ever for an answer that it has.
. "$(dirname "$0")/lib.sh"
packages libmnl0=1.0.4-3
cat >"$root/table.py" <<'PY'
import ctypes, struct, sys
mnl = ctypes.CDLL(sys.argv[1], use_errno=True)
NLMSG_ERROR, NLMSG_DONE, NLM_F_MULTI, ENOBUFS, SEQ = 2, 3, 2, 105, 7
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
done = CALLBACK(lambda message, data: 0)
table = (CALLBACK * 4)()
table[NLMSG_DONE] = done
text = struct.pack("=IHHIIi", 36, NLMSG_ERROR, NLM_F_MULTI, SEQ, 0, -ENOBUFS) + bytes(16)
def answer(table, n):
    ctypes.set_errno(0)
    return mnl.mnl_cb_run2(text, ctypes.c_size_t(len(text)), SEQ, 0, None, None, table, n), ctypes.get_errno()
print("without a table", answer(None, 0))
print("with a table", answer(table, 4))
PY
lib=$(find "$root" -name 'libmnl.so.0.*')
run out python3 "$root/table.py" "$lib"
expect '^without a table \(-1, 105\)' "$root/out"
expect '^with a table \(1, 0\)' "$root/out"
found
