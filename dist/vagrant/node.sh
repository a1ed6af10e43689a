#!/bin/sh
# node.sh PACKAGE ETCD UNDERLAY: makes this Debian machine a node. Run again, it upgrades the node.
#   - It installs podlane's PACKAGE and the standard CNI plugins.
#   - podlaned uses the etcd at address ETCD, and the interface with an address in the CIDR UNDERLAY.
#   - It waits until the node is ready.
set -eu
package=$1 etcd=$2 underlay=$3
export DEBIAN_FRONTEND=noninteractive

install() { apt-get install -y -qq --no-install-recommends containernetworking-plugins iproute2 iputils-ping >/dev/null; }
install 2>/dev/null || { apt-get update -qq && install; }

# The package starts podlaned, so write this first. The interface of the default route is the wrong one: in VirtualBox it has
# the address 10.0.2.15 in every guest, and leads to no other guest.
mkdir -p /etc/podlane
cat >/etc/podlane/podlaned.yaml <<END
etcd-endpoints: [http://$etcd:2379]
iface: $underlay
cni-conf: /etc/cni/net.d/10-podlane.conflist
network-file: /etc/podlane/network.json
END
echo '{"Network": "10.5.0.0/16"}' >/etc/podlane/network.json
output=$(dpkg --force-confold --install "$package" 2>&1) || { echo "$output" >&2 && exit 1; }

tries=40
until podlaned status >/dev/null 2>&1; do
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || break
	sleep 1
done
podlaned status
