#!/bin/sh
# reach.sh: lists the pods of this node, each as POD,NODE,ADDRESS,ADDRESS_OF_NODE.
# reach.sh POD...: checks which of these pods, from such lists, this node and its pods reach. It prints a line for each
# check: KIND FROM TO, and then a round trip in ms, an address, or FAIL with the reason.
set -eu
node=$(hostname)
own=$(ip -d link show type vxlan | sed -n 's/.* local \([0-9.]*\) .*/\1/p')

pods() {
	ip netns list | while read -r pod _; do
		addr=$(ip -n "$pod" -4 -o address show dev eth0 | sed -n 's/.* inet \([0-9.]*\).*/\1/p')
		[ -z "$addr" ] || echo "$pod,$node,$addr,$own"
	done
}

# ping_it PLACE KIND FROM TO ADDRESS: prints the best of three pings, which must all be answered. Each is a ping of its own:
# after the last of several, ping waits only twice as long as the others took. PLACE is a command that runs another.
ping_it() {
	if output=$(for _ in 1 2 3; do $1 ping -n -q -W 3 -c 1 "$5" 2>&1 || exit; done); then
		echo "$2 $3 $4 $(echo "$output" | sed -n 's#^rtt [^=]*= \([0-9.]*\)/.*#\1#p' | LC_ALL=C sort -n | head -n 1)"
	else
		echo "$2 $3 $4 FAIL ping $5: $(echo "$output" | grep ' 0 received' || echo "$output" | tail -n 1)"
	fi
}

# ask PLACE KIND FROM TO ADDRESS WANT: prints the source address that the server of pod.sh at ADDRESS sees. It must be WANT.
ask() {
	# shellcheck disable=SC2016 # for the shell inside
	saw=$($1 timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/9000" && cat <&3' "$5" 2>&1) || saw="nothing: no answer from $5"
	if [ "$saw" = "$6" ]; then
		echo "$2 $3 $4 $saw"
	else
		echo "$2 $3 $4 FAIL the source address seen is $saw, not $6"
	fi
}

field() { echo "$2" | cut -d, -f "$1"; }

if [ $# -eq 0 ]; then
	pods
	exit
fi
for from in $(pods); do
	pod=$(field 1 "$from")
	inside="ip netns exec $pod"
	ping_it "$inside" pod-to-own-node "$pod" "$node" "$own"
	for to; do
		other=$(field 1 "$to")
		[ "$other" != "$pod" ] || continue
		ping_it "$inside" pod-to-pod "$pod" "$other" "$(field 3 "$to")"
		ask "$inside" source-kept "$pod" "$other" "$(field 3 "$to")" "$(field 3 "$from")"
		[ "$(field 2 "$to")" = "$node" ] ||
			ask "$inside" pod-to-outside "$pod" "$(field 2 "$to")" "$(field 4 "$to")" "$own"
	done
done
for to; do
	[ "$(field 2 "$to")" = "$node" ] || ping_it "" node-to-pod "$node" "$(field 1 "$to")" "$(field 3 "$to")"
done
