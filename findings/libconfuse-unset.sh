#!/bin/sh
# libconfuse 3.3. An option may take its value from the environment: "${NAME}". One would guess that a number whose variable
# is not set is an error, as 12abc and a boolean of the same variable are, or that the option keeps its default. It is 0,
# in a list too, and cfg_parse() says that all is well.
# Why it matters: a timeout, limit or port of 0 often means "none" or "any": a service whose environment lacks one line
# starts with that. ${NAME:-5} gives a value of one's own.
. "$(dirname "$0")/lib.sh"
packages libconfuse2=3.3-3 libconfuse-common=3.3-3
cat >"$root/parse.py" <<'END'
import ctypes, os, sys
conf = ctypes.CDLL(sys.argv[1])
INT, BOOL, LIST = 1, 4, 1 << 1
class Default(ctypes.Structure):
    _fields_ = [("number", ctypes.c_long), ("fpnumber", ctypes.c_double), ("boolean", ctypes.c_int), ("string", ctypes.c_char_p),
                ("parsed", ctypes.c_char_p)]
class Option(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("comment", ctypes.c_char_p), ("type", ctypes.c_int), ("nvalues", ctypes.c_uint),
                ("values", ctypes.c_void_p), ("flags", ctypes.c_int), ("subopts", ctypes.c_void_p), ("default", Default)]
    _fields_ += [(name, ctypes.c_void_p) for name in ("func", "simple", "parsecb", "validcb", "validcb2", "pf", "freecb")]
conf.cfg_init.restype = ctypes.c_void_p
conf.cfg_getint.restype = conf.cfg_getnint.restype = ctypes.c_long
os.environ.pop("LIMIT", None)
def parse(text):
    options = (Option * 4)(Option(name=b"limit", type=INT, default=Default(number=7)), Option(name=b"on", type=BOOL, default=Default(boolean=1)),
                           Option(name=b"ports", type=INT, flags=LIST, default=Default(parsed=b"{1}")), Option())
    config = ctypes.c_void_p(conf.cfg_init(options, 0))
    result = conf.cfg_parse_buf(config, text.encode())
    ports = [conf.cfg_getnint(config, b"ports", i) for i in range(conf.cfg_size(config, b"ports"))]
    print(f"{text}: result {result}, limit {conf.cfg_getint(config, b'limit')}, ports {ports}", flush=True)
for text in "", "limit = 12abc", "on = ${LIMIT}", "limit = ${LIMIT}", 'limit = "${LIMIT}"', "limit = ${LIMIT:-5}", "ports = {80, ${LIMIT}, 443}":
    parse(text)
END
run out python3 "$root/parse.py" "$(find "$root" -name 'libconfuse.so.2')"
expect '^: result 0, limit 7, ports \[1\]$' "$root/out"
expect '^limit = 12abc: result 1,' "$root/out"
expect '^on = \$\{LIMIT\}: result 1,' "$root/out"
expect '^limit = \$\{LIMIT\}: result 0, limit 0,' "$root/out"
expect '^limit = "\$\{LIMIT\}": result 0, limit 0,' "$root/out"
expect '^limit = \$\{LIMIT:-5\}: result 0, limit 5,' "$root/out"
expect '^ports = .*: result 0, limit 7, ports \[80, 0, 443\]$' "$root/out"
found
