#!/bin/sh
# Installs from Debian what the lab and the tests run, where it is missing. Says nothing when all is there. Arguments
# are further commands that are needed, each in the package of its own name, or as COMMAND=PACKAGE.
set -eu
PATH=$PATH:/usr/sbin:/sbin

missing=
need() { # need COMMAND PACKAGE
	command -v "$1" >/dev/null || missing="$missing $2"
}
need ip iproute2
need bridge iproute2
need ping iputils-ping
need iperf3 iperf3
need nft nftables
need iptables iptables
need sysctl procps
need setpriv util-linux
for command; do need "${command%%=*}" "${command#*=}"; done

[ -n "$missing" ] || exit 0
# shellcheck disable=SC2086 # a list of words
set -- $missing
if ! command -v apt-get >/dev/null; then
	echo "install these first (Debian's names): $*" >&2
	exit 1
fi
sudo=
if [ "$(id -u)" -ne 0 ]; then sudo=sudo; fi
echo "installing $*"
export DEBIAN_FRONTEND=noninteractive
install() { $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
install "$@" 2>/dev/null || { $sudo apt-get update -qq && install "$@"; }
