#!/bin/sh
# Runs every fuzz target of the module: fuzz.sh [COUNT|TIME], as -fuzztime takes it, by default 10000x each. A time can fail
# with "context deadline exceeded" as it ends (Go's issue 75804, mended in Go 1.27).
set -eu
cd "$(dirname "$0")/.."
grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sort | while IFS=: read -r file target; do
	go test -run '^$' -fuzz "^${target#func }\$" -fuzztime "${1:-10000x}" -fuzzminimizetime 1s "$(dirname "$file")" </dev/null
done
