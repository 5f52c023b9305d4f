#!/usr/bin/env bash
# Format and static analysis: tests/lint.sh SINCE [format|cppcheck|tidy]...; without a name all three. `make lint` and tests/full.sh
# call it. SINCE: "all", or a commit: only files that differ from it, committed or not.
set -u
cd "$(dirname "$0")/.." || exit 1
since=${1:-HEAD}
shift
DEFINES=(-D_GNU_SOURCE '-DVERSION="0"' '-DSHIM_DIR="/x"')

# The C files in question that are of these patterns, one a line.
files() {
    if [ "$since" = all ]; then
        git ls-files -- "$@"
    else
        { git diff --name-only --diff-filter=d "$since" -- "$@" && git ls-files -o --exclude-standard -- "$@"; } | sort -u
    fi
}

# What a header changes shows in the .c of its name.
sources() {
    files 'src/*.c' 'src/*.h' | sed 's/\.h$/.c/' | sort -u | while read -r file; do
        [ ! -e "$file" ] || echo "$file"
    done
}

format() {
    files '*.c' '*.h' | xargs -r clang-format --dry-run -Werror
}

cppcheck_all() {
    sources | xargs -r cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability --inline-suppr \
        --suppress=missingIncludeSystem --suppress='*:/usr/*' "${DEFINES[@]}" -D__x86_64__ -D__GLIBC__=2 "-DElfW(type)=Elf64_##type" -Isrc -j2
}

tidy() {
    sources | xargs -r -P2 -I{} clang-tidy --quiet --warnings-as-errors='*' {} -- -std=gnu11 -Isrc "${DEFINES[@]}"
}

git rev-parse --git-dir >/dev/null || exit 1
[ "$since" = all ] || git rev-parse --verify --quiet "$since^{commit}" >/dev/null || { echo "lint: $since is no commit; try: LINT=all" >&2; exit 1; }
status=0
[ $# -gt 0 ] || set -- format cppcheck tidy
for what in "$@"; do
    case $what in
    format) format ;;
    cppcheck) cppcheck_all ;;
    tidy) tidy ;;
    *) echo "lint: $what is none of format, cppcheck, tidy" >&2; exit 2 ;;
    esac || { echo "lint: $what found something" >&2; status=1; }
done
exit $status
