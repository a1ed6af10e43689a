#!/bin/sh
# pod.sh NAME: makes a pod on this node, as a container runtime does: a network namespace that podlane-cni attaches. It
# replaces a pod with this name. In the pod and on the node it starts a server for table.sh. The server sends each client,
# on TCP port 9000, the client's source address.
set -eu
name=$1

# cni COMMAND: runs the plugin for the pod.
cni() {
	echo '{"cniVersion": "1.0.0", "name": "podlane", "type": "podlane-cni"}' |
		CNI_COMMAND=$1 CNI_CONTAINERID=$name CNI_NETNS=/run/netns/$name CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni \
			/usr/lib/cni/podlane-cni
}

# attach: runs the plugin until the pod is attached. Code 11 is "try again later": podlaned is not ready yet, as after a boot.
attach() {
	tries=120
	until output=$(cni ADD); do
		tries=$((tries - 1))
		if [ "$tries" -eq 0 ] || [ "${output#*'"code": 11'}" = "$output" ]; then
			echo "$output" >&2
			exit 1
		fi
		sleep 1
	done
}

# mirror UNIT [OPTION...]: starts the server as a unit, with options of systemd-run.
mirror() {
	systemctl stop "$1.service" 2>/dev/null || true
	unit=$1
	shift
	# shellcheck disable=SC2016 # it is Perl
	systemd-run --quiet --collect --unit="$unit" "$@" perl -MIO::Socket::INET -e '
		$server = IO::Socket::INET->new(LocalPort => 9000, Listen => 64, ReuseAddr => 1) or die "listen: $!";
		while ($client = $server->accept) { print $client $client->peerhost, "\n"; close $client }'
}

systemctl stop "mirror-$name.service" 2>/dev/null || true # it uses the namespace
cni DEL
ip netns delete "$name" 2>/dev/null || true
ip netns add "$name"
ip -n "$name" link set lo up
attach
mirror "mirror-$name" --property=NetworkNamespacePath="/run/netns/$name"
mirror mirror
ip -n "$name" -4 -o address show dev eth0
