"""The shared object itself, and clients that are hard on preload libraries."""

import os
import re
import subprocess

import kernel
from fixture import ROOT, SHIM, equal, library, needs

# What the shim may ask of libc. Called from wrappers: async-signal-safe, or part of no function at all.
ALWAYS = {
    "memcpy", "memset", "memcmp", "memmove", "strlen", "strnlen", "strcmp", "strncmp", "strrchr", "strchr", "clock_gettime",
    "__errno_location", "__stack_chk_fail", "faccessat", "stat",
    "fileno",  # in fclose and freopen, which are not async-signal-safe themselves
}
# In the constructor, or by the compiler's start and end code.
LOADING = {
    "dlsym", "dlmopen", "dlopen", "dlclose", "dlerror", "dladdr", "secure_getenv", "getauxval", "__register_atfork", "__cxa_atexit",
    "__cxa_finalize", "environ", "__environ", "program_invocation_short_name", "program_invocation_name", "__progname",
    "_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "__gmon_start__",
}


def output(*argv):
    return subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout


def symbols(kind):
    return {line.split()[-1].split("@")[0] for line in output("nm", "-D", kind, SHIM).splitlines()}


@needs("nm")
def test_exports(t):
    """Exactly the list of wrapped calls, unversioned; the twins are for 32 bits (test_portability.py)."""
    with open(os.path.join(ROOT, "src/shim/wrapped.def")) as f:
        wrapped = set(re.findall(r"^WRAP(?:_OPTIONAL)?\((\w+)", f.read(), re.MULTILINE))
    assert len(wrapped) > 30, f"only {len(wrapped)} entries were read from wrapped.def"
    equal(symbols("--defined-only"), wrapped, "exported symbols")
    assert "@" not in output("nm", "-D", "--defined-only", SHIM), "an export has a version"


@needs("readelf")
def test_needs_libc_only(t):
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", output("readelf", "-dW", SHIM)))
    assert "libc.so.6" in needed and all(re.fullmatch(r"libc\.so\.6|ld-linux.*", n) for n in needed), f"DT_NEEDED: {needed}"


def needs_dynamic_tls(path):
    """Relocations and symbols of a __thread variable that is not initial-exec: of the module's number, and the call that takes it."""
    text = output("readelf", "-rsW", path)
    return set(re.findall(r"\b(R_\w+_(?:DTPMOD\w*|DTPOFF\w*|TLSDESC\w*|TLS_DTP\w*)|__tls_get_addr)\b", text))


@needs("readelf", "gcc")
def test_threads_variables_are_initial_exec(t):
    """Any other kind makes the library need glibc's loader by name, which musl's loader does not have: it then starts no program."""
    equal(needs_dynamic_tls(SHIM), set(), "what a thread's variable needs")
    crafted = os.path.join(t.folder, "crafted.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", crafted], input="static __thread int x;\nint *f(void) { return &x; }\n", text=True, check=True)
    assert needs_dynamic_tls(crafted), "this test would see nothing"


@needs("nm")
def test_undefined_symbols(t):
    """Nothing that allocates, locks, prints or may be cancelled."""
    undefined = symbols("--undefined-only")
    assert "__errno_location" in undefined, "nm found nothing"
    equal(undefined - ALWAYS - LOADING, set(), "undefined symbols that are not on the list")


@needs("readelf")
def test_hardening(t):
    """RELRO, BIND_NOW, no executable stack, no RPATH, no text relocations, no executable and writable segment."""
    dynamic, segments = output("readelf", "-dW", SHIM), output("readelf", "-lW", SHIM)
    assert re.search(r"FLAGS.*\bNOW\b", dynamic), "not BIND_NOW"
    assert "GNU_RELRO" in segments, "no RELRO"
    stack = re.search(r"GNU_STACK.* (R\w*) ", segments)
    equal(stack and stack.group(1), "RW", "flags of GNU_STACK")
    assert not re.search(r"RPATH|RUNPATH|TEXTREL", dynamic), "RPATH or TEXTREL"
    assert not re.search(r"LOAD.* RWE ", segments), "a segment that is writable and executable"


# --- clients ---

def stage(t):
    sources = t.sources()
    port = t.server()
    t.spread(sources)
    return sources, port


def spread_and_told(t, sources, port, n):
    t.same_time_waits(port, n)
    equal(dict(kernel.by_source(port)), {s: n // len(sources) for s in sources}, "connections per source")


def test_client_with_its_own_cfg_functions(t):
    """Plain LD_PRELOAD and no state file yet: our parser runs in the client, and neither meets the other's functions."""
    sources, port = stage(t)
    t.run([t.program("own_cfg_client"), "10.1.0.1", str(port), "40"])
    spread_and_told(t, sources, port, 40)


def allocator(t, name, first):
    """An allocator preloaded with us; python3 and a C program; the config is compiled in the client."""
    sources, port = stage(t)
    other = library(name)
    preload = f"{SHIM}:{other}" if first else f"{other}:{SHIM}"
    t.run([t.program("burst"), "10.1.0.1", str(port), "20"], preload=preload)
    t.python(f"import socket\nfor _ in range(20): socket.create_connection(('10.1.0.1', {port})).close()", preload=preload)
    t.run([t.program("odd_places"), "thread", "10.1.0.1", str(port)], preload=preload)
    spread_and_told(t, sources, port, 120)


@needs("libjemalloc.so.2")
def test_jemalloc_behind(t):
    allocator(t, "libjemalloc.so.2", True)


@needs("libjemalloc.so.2")
def test_jemalloc_before(t):
    allocator(t, "libjemalloc.so.2", False)


@needs("libtcmalloc_minimal.so.4")
def test_tcmalloc_behind(t):
    allocator(t, "libtcmalloc_minimal.so.4", True)


@needs("libtcmalloc_minimal.so.4")
def test_tcmalloc_before(t):
    allocator(t, "libtcmalloc_minimal.so.4", False)


def test_asan(t):
    """A client built with ASan. Its runtime wants to come first; where it is told not to insist, it need not."""
    sources, port = stage(t)
    client = [t.program("asan_client"), "10.1.0.1", str(port), "20"]
    runtime = re.search(r"(/\S*libasan\.so\S*)", output("ldd", client[0]))
    assert runtime, "asan_client is not built with -fsanitize=address"
    t.run(client, preload=f"{runtime.group(1)}:{SHIM}")
    t.run(client, ASAN_OPTIONS="verify_asan_link_order=0")
    spread_and_told(t, sources, port, 40)


def chained(t, first):
    """Another library that wraps connect and close: both do their work, each call goes through both once."""
    sources, port = stage(t)
    other, count = t.program("chain.so"), os.path.join(t.folder, "count")
    client = [t.program("burst"), "10.1.0.1", str(port), "20"]
    t.run(client, preload=f"{SHIM}:{other}" if first else f"{other}:{SHIM}", CHAIN_COUNT=count)
    spread_and_told(t, sources, port, 20)
    with open(count) as f:
        equal(f.read(), "connect 20 close 20\n", "calls that the other library saw")


def test_chained_before_another(t):
    chained(t, True)


def test_chained_behind_another(t):
    chained(t, False)


def test_preloaded_twice(t):
    """Two copies under different names: the second is not taken for libc."""
    sources, port = stage(t)
    copy = os.path.join(t.folder, "copy.so")
    with open(SHIM, "rb") as a, open(copy, "wb") as b:
        b.write(a.read())
    t.run([t.program("burst"), "10.1.0.1", str(port), "20"], preload=f"{SHIM}:{SHIM}")
    spread_and_told(t, sources, port, 20)
    t.run([t.program("burst"), "10.1.0.1", str(port), "20"], preload=f"{SHIM}:{copy}")
    kernel.settle(port)
    equal(len(kernel.time_waits(port)), 40, "connections")
