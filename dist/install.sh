#!/bin/sh
# install.sh [uninstall]: installs podlane from the folder that the archive was unpacked to, or takes it away again, on a
# machine for which there is no package. The configuration, /etc/podlane, is never overwritten and stays.
#
#   CNI_BIN=/opt/cni/bin   where the container runtime looks for CNI plugins
set -eu
cd "$(dirname "$0")"
cni=${CNI_BIN:-/opt/cni/bin}

# Where everything goes: SOURCE TARGET MODE.
files="
podlaned /usr/local/sbin/podlaned 755
podlane-cni $cni/podlane-cni 755
podlane-gate $cni/podlane-gate 755
systemd/podlaned.service /etc/systemd/system/podlaned.service 644
systemd/modules-load.conf /etc/modules-load.d/podlane.conf 644
systemd/tmpfiles.conf /etc/tmpfiles.d/podlane.conf 644
systemd/60-podlane.link /etc/systemd/network/60-podlane.link 644
systemd/60-podlane.network /etc/systemd/network/60-podlane.network 644
systemd/networkmanager.conf /etc/NetworkManager/conf.d/podlane.conf 644
"

# with_systemd COMMAND...: runs it where systemd runs.
with_systemd() { [ ! -d /run/systemd/system ] || "$@"; }

install_all() {
	if [ -e /usr/sbin/podlaned ]; then
		echo "podlane is installed as a package already: upgrade that, or remove it first" >&2
		exit 1
	fi
	echo "$files" | while read -r source target mode; do
		[ -n "$source" ] || continue
		mkdir -p "$(dirname "$target")"
		case $source in
		*.service) sed 's#/usr/sbin/#/usr/local/sbin/#' "$source" >"$target.new" ;;
		*) cp "$source" "$target.new" ;;
		esac
		chmod "$mode" "$target.new" # and then by rename, for the old program may be running
		mv "$target.new" "$target"
	done
	mkdir -p /etc/podlane /etc/cni/net.d
	[ -e /etc/podlane/podlaned.yaml ] || cp podlaned.yaml /etc/podlane/podlaned.yaml
	with_systemd systemctl daemon-reload
	with_systemd systemd-tmpfiles --create podlane.conf
	modprobe -qa vxlan br_netfilter 2>/dev/null || true
	with_systemd systemctl --quiet enable podlaned.service
	with_systemd systemctl --no-block restart podlaned.service
	echo "installed; say in /etc/podlane/podlaned.yaml where etcd is, then: systemctl restart podlaned"
}

remove_files() {
	echo "$files" | while read -r source target _; do
		[ -z "$source" ] || [ -L "$target" ] || rm -f "$target" # a link is the package's
	done
}

uninstall_all() {
	if [ -e /usr/sbin/podlaned ]; then # the package goes on with what stands; only our files were before its own
		remove_files
		with_systemd systemctl --quiet reenable podlaned.service
		with_systemd systemctl --no-block restart podlaned.service
		echo "uninstalled; podlane runs from its package now"
		return
	fi
	with_systemd systemctl --quiet disable --now podlaned.service || true
	/usr/local/sbin/podlaned cleanup || true
	remove_files
	rm -rf /var/lib/podlane /run/podlane
	with_systemd systemctl daemon-reload
	echo "uninstalled; /etc/podlane is left"
}

case ${1:-} in
"") install_all ;;
uninstall) uninstall_all ;;
*)
	echo "usage: install.sh [uninstall]" >&2
	exit 2
	;;
esac
