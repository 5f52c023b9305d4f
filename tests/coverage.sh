#!/usr/bin/env bash
# Line coverage of src/ by unit and system tests: tests/coverage.sh [FILTER...]. Fails below 90 % of src/, or 95 % of what runs in the client
# alone: src/client, connect, close, shim.
# BUILD/coverage/shim.txt has what is left of the shim, line by line.
#
# Clang's counters are mapped from a file: clients that are killed or leave by _exit are counted as well. Left out are tests
# of the artefact itself, which here is another one, tests that bring a build or a host of their own, and long ones that add nothing.
set -u
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-$PWD/build}
out=$BUILD/coverage
rm -rf "$out/counts" "$out/build"
mkdir -p "$out/counts"
chmod 1777 "$out/counts" # clients run as other users too
clang -O1 -fPIC -c tests/coverage.c -o "$out/coverage.o" || exit 1
make -s BUILD="$out/build" CC=clang WERROR=-Werror CFLAGS="-O1 -g -fprofile-instr-generate=$out/counts/%m%c.profraw -fcoverage-mapping \
-mllvm -runtime-counter-relocation -Wno-unused-command-line-argument $out/coverage.o" programs || exit 1
rm -f "$out"/counts/* # of programs that the build itself ran
export BUILD=$out/build
[ $# = 0 ] && tests/run unit | tail -n 1
# Some fail for the counters' file and its descriptor; whether the suite passes is not asked here.
tests/system/run -x artefact -x foreign -x install -x portability -x valgrind -x manuals -x readme -x soak -x mutations -x storm. -x million -x stack_as "$@" |
    grep -E '^(FAIL|[0-9]+ passed)' | cut -c1-150
llvm-profdata merge -sparse "$out"/counts/*.profraw -o "$out/profile" || exit 1
objects=("$BUILD/libconnspread.so" -object "$BUILD/connspread" -object "$BUILD/connspread-config.so")
for program in "$BUILD"/unit/test_*; do
    [[ $program = *.d ]] || objects+=(-object "$program")
done
llvm-cov export -format=lcov -instr-profile "$out/profile" "${objects[@]}" 2>/dev/null >"$out/lcov" || exit 1
awk -F'[:,]' -v root="$PWD/" '
    /^SF:/ { file = $2; sub(root, "", file) }
    /^DA:/ && file ~ /^src\// { if ($3 > 0) hit[file ":" $2] = 1; seen[file ":" $2] = 1 }
    END {
        for (line in seen) {
            shim = line ~ /^src\/(client|connect|close|shim)\//
            all++; ours += shim
            if (line in hit) { covered++; shim_covered += shim } else if (shim) print line >"'"$out/shim.unsorted"'"
        }
        printf "src/: %d of %d lines, %.1f %%\nin the client: %d of %d lines, %.1f %%\n", covered, all, 100 * covered / all,
               shim_covered, ours, 100 * shim_covered / ours
        exit !(covered >= 0.9 * all && shim_covered >= 0.95 * ours)
    }' "$out/lcov"
status=$?
sort -t: -k1,1 -k2,2n "$out/shim.unsorted" 2>/dev/null | while IFS=: read -r file line; do
    printf '%s:%s: %s\n' "$file" "$line" "$(sed -n "${line}p" "$file")"
done >"$out/shim.txt"
rm -f "$out/shim.unsorted"
exit $status
