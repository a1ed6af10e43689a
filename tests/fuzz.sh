#!/bin/sh
# Runs every fuzz target of the module for a time: fuzz.sh [TIME], by default 3s each.
set -eu
cd "$(dirname "$0")/.."
grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sort | while IFS=: read -r file target; do
	go test -run '^$' -fuzz "^${target#func }\$" -fuzztime "${1:-3s}" -fuzzminimizetime 1s "$(dirname "$file")" </dev/null
done
