#!/usr/bin/env bash
# What `make check-full` adds to `make check`: the other compiler, sanitizers, analysers, fuzzers, format. Ends with
# "N passed, N failed". FUZZ_SECONDS (10) is how long each fuzzer runs.
set -u
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-$PWD/build}
FULL=$BUILD/full
FUZZ_SECONDS=${FUZZ_SECONDS:-10}
mkdir -p "$FULL"
passed=0 failed=0

# step NAME COMMAND...: its output is shown only when it fails.
step() {
    local name=$1 log=$FULL/log started=$SECONDS
    shift
    if "$@" >"$log" 2>&1 </dev/null; then
        echo "ok   $name ($((SECONDS - started)) s)"
        passed=$((passed + 1))
    else
        echo "FAIL $name"
        grep -A 20 '^FAIL' "$log" | head -n 60 | sed 's/^/    /'
        tail -n 60 "$log" | sed 's/^/    /'
        failed=$((failed + 1))
    fi
}

quiet_make() {
    make -s "$@" WERROR=-Werror
}

# Builds the unit tests a second way and runs them: unit_with DIR FLAGS [NAME...]
unit_with() {
    local dir=$1 flags=$2 name
    shift 2
    quiet_make BUILD="$dir" CFLAGS="-O1 -g $flags" units || return 1
    for name in "${@:-}"; do
        for program in "$dir"/unit/test_"$name"*; do
            [ -x "$program" ] || continue
            case $program in *.d) continue ;; esac
            "$program" || return 1
        done
    done
}

analyzer() {
    local file
    git ls-files 'src/*.c' | while read -r file; do
        gcc -fanalyzer -Werror -O1 -std=gnu11 -Isrc -D_GNU_SOURCE -DVERSION='"0"' -DSHIM_DIR='"/x"' -c "$file" -o /dev/null || exit 1
    done
}

FUZZ_CC="clang -std=gnu11 -Isrc -Itests -D_GNU_SOURCE -DVERSION=\"0\" -DSHIM_DIR=\"/x\" -g -O1
    -fsanitize=address,undefined -fno-sanitize-recover=undefined"

# The project's sources as the fuzzers see them, built once for all: $FULL/fuzz.a.
fuzz_library() {
    local objects=$FULL/fuzz-objects
    rm -rf "$objects" "$FULL/fuzz.a"
    mkdir -p "$objects"
    # shellcheck disable=SC2016
    git ls-files 'src/base/*.c' 'src/net/*.c' 'src/policy/*.c' 'src/state/*.c' 'src/client/*.c' 'src/connect/*.c' \
        'src/close/*.c' 'src/text/*.c' 'src/config/*.c' 'src/tool/*.c' | grep -vE 'tool/main.c|config/module.c' |
        xargs -P "$(nproc)" -n 8 sh -c 'to=$1 cc=$2; shift 2
            for f; do $cc -fsanitize=fuzzer-no-link -c "$f" -o "$to/$(echo "$f" | tr / _).o" || exit 255; done' \
            - "$objects" "$FUZZ_CC" || return 1
    ar rcs "$FULL/fuzz.a" "$objects"/*.o
}

# One libFuzzer harness over its committed corpus; what it finds beyond is kept out of the tree.
fuzz() {
    local name=$1 work=$FULL/fuzz-$1
    mkdir -p "$work"
    $FUZZ_CC -fsanitize=fuzzer "tests/fuzz/fuzz_$name.c" "$FULL/fuzz.a" -o "$FULL/fuzz_$name" -lconfuse -ljansson || return 1
    "$FULL/fuzz_$name" -max_total_time="$FUZZ_SECONDS" -timeout=20 -rss_limit_mb=4096 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="$work/" "$work" "tests/fuzz/corpus/$name"
}

# The shim and the clients of the system tests with a sanitizer: sanitized DIR FLAGS ARGUMENTS-OF-RUN... The config module is
# loaded into a namespace of its own, where a second runtime would claim the first one's memory: it stays as it is.
sanitized() {
    local dir=$1 flags=$2
    shift 2
    # Warnings are the other builds' matter: a sanitizer hides from gcc what it knows of ranges.
    make -s BUILD="$dir" SHIM_LTO= TEST_EXTRA= CFLAGS="-O1 -g $flags" programs || return 1
    cp "$BUILD/connspread-config.so" "$dir/" || return 1
    ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 BUILD=$dir tests/system/run "$@"
}

# Left out is what meets the runtime itself: unwinding at a cancellation, its allocator, its own start in /proc, signals,
# a second namespace, and stacks too small for it.
shim_asan() {
    sanitized "$FULL/asan" "-fsanitize=address,undefined -fno-sanitize-recover=undefined" \
        -x cancel -x an_allocator -x 33_nothing -x dlopen_and -x transparent.process -x 38b -x full_disk -x redis_cli -x stack_as \
        spread. close. exhaust. bad_sources killed. quadruplets. transparent pitfalls corners. sharers. history. incidents.
}

# TSan does not see that memory which two threads map in turn, by raw calls, is not shared: that of a failure's evidence, and what
# is read out of it.
shim_tsan() {
    printf 'race:read_text\nrace:src/net/ports.c\n' >"$FULL/tsan.known"
    TSAN_OPTIONS="suppressions=$FULL/tsan.known:print_suppressions=0" sanitized "$FULL/tsan" "-fsanitize=thread -Wno-tsan" \
        pitfalls_clients.7_descriptors pitfalls_clients.8_ pitfalls_clients.10_fork pitfalls_clients.14_ pitfalls.17_ ring.many_writers \
        harm.descriptors.changed_under_a_connect harm.descriptors.changed_under_a_wait harm.descriptors.changed_under_100000 preloads.threads \
        close.a_dup2_that_fails
}

step "clang builds it without a warning" quiet_make BUILD="$FULL/clang" CC=clang programs
step "clang-format" tests/lint.sh all format
step "cppcheck" tests/lint.sh all cppcheck
step "clang-tidy" tests/lint.sh all tidy
step "gcc -fanalyzer" analyzer
step "unit tests under ASan and UBSan" unit_with "$FULL/asan" "-fsanitize=address,undefined -fno-sanitize-recover=undefined" ""
# gcc warns that TSan does not model fences; the fenced reads are of relaxed atomics, which it does.
step "what threads share, under TSan" unit_with "$FULL/tsan" "-fsanitize=thread -Wno-tsan" \
    ring fdtab pair match_cache history dedup deferred open_table arm process endpoint control_threads
step "shim and clients under ASan and UBSan" shim_asan
# A scribbled file, section table included, and a hostile owner: the tool of the build above.
step "tool under ASan and UBSan against hostile state files" env MUTATIONS_TOOL="$FULL/asan/connspread" MUTATIONS_SEED=2 MUTATIONS=4000 \
    ASAN_OPTIONS=detect_leaks=0 tests/system/run mutations
step "shim in threaded clients under TSan" shim_tsan
if [ "$(id -u)" = 0 ]; then
    step "musl beside glibc: install --to, a root with nothing but musl's loader, each program its shim" tests/musl.sh "$FULL/musl"
    step "package in a bare Debian: installs, works, leaves only its config" tests/debian.sh "$FULL/debian"
    step "RPM: the same bytes twice, rpmlint, installs, README's tour, leaves only its config" tests/rpm.sh "$FULL/rpm"
else
    echo "skip RPM, musl, and package in a bare Debian: only root can make one"
fi
step "line coverage: 90 % of src/, 95 % of what runs in the client" tests/coverage.sh
sed -n 's/^src/     &/p' "$FULL/log"
step 'the sources for the fuzzers' fuzz_library
for harness in tests/fuzz/fuzz_*.c; do
    name=${harness#tests/fuzz/fuzz_}
    step "fuzz ${name%.c}, $FUZZ_SECONDS s" fuzz "${name%.c}"
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
