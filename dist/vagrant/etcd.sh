#!/bin/sh
# etcd.sh ADDRESS: installs Debian's etcd on this machine. It serves clients on ADDRESS without TLS: it is only for a lab.
set -eu
export DEBIAN_FRONTEND=noninteractive

install() { apt-get install -y -qq --no-install-recommends etcd-server >/dev/null; }
command -v etcd >/dev/null || install 2>/dev/null || { apt-get update -qq && install; }

cat >/etc/default/etcd <<END
ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:2379,http://$1:2379
ETCD_ADVERTISE_CLIENT_URLS=http://$1:2379
END
systemctl --quiet enable etcd.service
systemctl restart etcd.service
echo "etcd serves on http://$1:2379"
