#!/bin/sh
# table.sh NODE...: checks which pods and nodes reach each other, and prints that as `make lab` does. The exit code is 1 if a
# check fails.
#
#   ON=...   a command that runs another as root on a node: `$ON NODE COMMAND...`; default: Vagrant's ssh and sudo
set -eu
here=$(dirname "$0")
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

on() { # on NODE COMMAND...
	if [ -n "${ON:-}" ]; then
		$ON "$@"
	else
		node=$1
		shift
		ssh -F "$folder/ssh" "$node" sudo "$@"
	fi
}

[ -n "${ON:-}" ] || vagrant ssh-config "$@" >"$folder/ssh"
for node; do on "$node" sh -s <"$here/reach.sh"; done >"$folder/pods"
pods=$(cat "$folder/pods")
for node; do
	# shellcheck disable=SC2086 # a list of words
	on "$node" sh -s -- $pods <"$here/reach.sh"
done >"$folder/found"

awk '
BEGIN {
	split("pod-to-pod node-to-pod pod-to-own-node pod-to-outside source-kept", kinds)
	name["pod-to-pod"] = "pod to pod"
	name["node-to-pod"] = "node to a pod of another node"
	name["pod-to-own-node"] = "pod to its own node"
	name["pod-to-outside"] = "pod to outside, masqueraded"
	note["pod-to-outside"] = "  another node sees the node"
	name["source-kept"] = "source address kept"
	note["source-kept"] = "  a pod sees the other pod itself"
}
FNR == NR {
	split($0, pod, ",")
	pods[++count] = pod[1]
	head[count] = sprintf("  %-28s", sprintf("%-5s %-5s %s", pod[1], pod[2], pod[3]))
	next
}
{
	asked[$1]++
	cell[$1, $2, $3] = $4
	if ($4 == "FAIL") {
		why = $0
		sub(/.* FAIL /, "", why)
		failed[++failures] = "  " $2 " to " $3 ": " why
		next
	}
	held[$1]++
	if (!($1 in least) || $4 + 0 < least[$1]) least[$1] = $4 + 0
	if ($4 + 0 > most[$1]) most[$1] = $4 + 0
}
END {
	printf "Every pod pings every other: round trip in ms, best of 3\n\n  %-28s", "from                      to"
	for (i = 1; i <= count; i++) printf "%7s", pods[i]
	print ""
	for (i = 1; i <= count; i++) {
		printf "%s", head[i]
		for (j = 1; j <= count; j++) printf "%7s", i == j ? "-" : cell["pod-to-pod", pods[i], pods[j]]
		print ""
	}
	print "\nChecks\n"
	for (i = 1; i <= 5; i++) {
		kind = kinds[i]
		if (!asked[kind]) continue
		range = kind ~ /pod-to-outside|source-kept/ || !held[kind] ? "" : sprintf("  %.3f to %.3f ms", least[kind], most[kind])
		printf "  %s  %-30s%4d of %-4d%s%s\n", held[kind] == asked[kind] ? "ok    " : "FAILED", name[kind], held[kind], asked[kind], range, note[kind]
	}
	if (failures) print "\nFailed checks\n"
	for (i = 1; i <= failures; i++) print failed[i]
	exit failures > 0 || count == 0
}' "$folder/pods" "$folder/found"
