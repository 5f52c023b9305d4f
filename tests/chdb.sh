#!/bin/sh
# Installs the npm package chdb (ClickHouse as a library, 0.5 GB) into build/chdb, for the tests of contrib/clickhouse in check-full. The versions are
# those of tests/system/fleet/package.json; without a lock file: one that names no place to fetch from, npm 11 refuses for want of the packages of other
# systems.
set -eu
cd "$(dirname "$0")/.."
to=build/chdb from=tests/system/fleet
if cmp -s "$from/package.json" "$to/installed"; then exit 0; fi
mkdir -p "$to"
cp "$from/package.json" "$to/"
(cd "$to" && npm install --no-package-lock --ignore-scripts --no-audit --no-fund --silent)
cp "$from/package.json" "$to/installed"
