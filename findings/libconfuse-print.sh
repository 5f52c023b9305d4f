#!/bin/sh
# libconfuse 3.3, cfg_print(). One would guess that cfg_parse() reads what cfg_print() wrote as the same values; it does with
# quotes, backslashes and control characters in a string. Not with three others: a literal ${NAME} comes back as the value of
# the variable; a float has six digits after the point, so 0.0000004 comes back as 0; and the title of a section is written as
# it is, so that a quote in it is a syntax error.
# Why it matters: a program that saves its settings with cfg_print() changes such values by saving them, and one that has such a
# title cannot read its own file again.
. "$(dirname "$0")/lib.sh"
packages libconfuse2=3.3-3 libconfuse-common=3.3-3
cat >"$root/print.py" <<'END'
import ctypes, os, struct, sys
confuse, libc = ctypes.CDLL(sys.argv[1]), ctypes.CDLL(None)
for name in "cfg_init", "cfg_getnsec":
    getattr(confuse, name).restype = ctypes.c_void_p
confuse.cfg_getstr.restype = confuse.cfg_title.restype = ctypes.c_char_p
confuse.cfg_getfloat.restype = ctypes.c_double
libc.fopen.restype = ctypes.c_void_p
FLOAT, STRING, SECTION, MULTI, TITLE = 2, 3, 5, 1, 8
kept = []
def table(*options):
    """An array of cfg_opt_t: its name, type, flags and options of its own; all else is 0."""
    packed = b""
    for name, kind, flags, own in options + ((None, 0, 0, 0),):
        text = ctypes.create_string_buffer(name) if name else None
        kept.append(text)
        packed += struct.pack("@PPiIPiPldiPP7P", ctypes.addressof(text) if text else 0, 0, kind, 0, 0, flags, own, 0, 0, 0, 0, 0, *[0] * 7)
    kept.append(ctypes.create_string_buffer(packed))
    return ctypes.addressof(kept[-1])
def read(text):
    options = table((b"text", STRING, 0, 0), (b"rate", FLOAT, 0, 0), (b"rule", SECTION, MULTI | TITLE, table()))
    config = ctypes.c_void_p(confuse.cfg_init(ctypes.c_void_p(options), 0))
    if confuse.cfg_parse_buf(config, text):
        return None, "error"
    titles = [confuse.cfg_title(ctypes.c_void_p(confuse.cfg_getnsec(config, b"rule", i))) for i in range(confuse.cfg_size(config, b"rule"))]
    return config, f"{confuse.cfg_getstr(config, b'text')} {confuse.cfg_getfloat(config, b'rate'):g} {titles}"
os.environ["NAME"] = "value"
written = sys.argv[2].encode()
for text in rb'''text = "a\"b\\c\n\x01"''', b"rate = 0.25", b"rule one {}", b"text = '${NAME}'", b"rate = 0.0000004", b"rule 'a\"b' {}":
    config, first = read(text)
    stream = ctypes.c_void_p(libc.fopen(written, b"w"))
    confuse.cfg_print(config, stream)
    libc.fclose(stream)
    print(f"{text.decode()}: {first} -> {read(open(written, 'rb').read())[1]}", flush=True)
END
run out python3 "$root/print.py" "$(find "$root" -name 'libconfuse.so.2')" "$root/written"
status 0 "$rc" print.py
same=$(sed -n 's/^.*}*: \(.*\) -> \1$/same/p' "$root/out" | wc -l)
[ "$same" = 3 ] || changed "$same of the values are read as they were, not 3: $(cat "$root/out")"
expect "^text = '[\$][{]NAME[}]': b'[\$][{]NAME[}]' 0 \[\] -> b'value' 0 \[\]\$" "$root/out"
expect '^rate = 0.0000004: None 4e-07 \[\] -> None 0 \[\]$' "$root/out"
expect "^rule 'a\"b' [{][}]: None 0 \[b'a\"b'\] -> error\$" "$root/out"
found
