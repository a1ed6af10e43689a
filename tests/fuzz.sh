#!/bin/sh
# Runs every fuzz target of the module for a time: fuzz.sh [TIME], by default 3s each.
set -eu
cd "$(dirname "$0")/.."
time=${1:-3s}
grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u | while read -r folder; do
	for target in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$folder"/*_test.go); do
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$folder"
	done
done
