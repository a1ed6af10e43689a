#!/bin/sh
# install.sh [uninstall]: installs podlane from the folder of the unpacked archive, or removes it, on a machine without a
# package for it. It never overwrites or removes the configuration /etc/podlane.
#
#   CNI_BIN=/opt/cni/bin   the folder in which the container runtime looks for CNI plugins
set -eu
cd "$(dirname "$0")"
cni=${CNI_BIN:-/opt/cni/bin}

# The files: SOURCE TARGET MODE.
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

# with_systemd COMMAND...: runs the command if systemd runs.
with_systemd() { [ ! -d /run/systemd/system ] || "$@"; }

install_all() {
	if [ -e /usr/sbin/podlaned ]; then
		echo "podlane is already installed as a package: upgrade that package, or remove it first" >&2
		exit 1
	fi
	echo "$files" | while read -r source target mode; do
		[ -n "$source" ] || continue
		mkdir -p "$(dirname "$target")"
		case $source in
		*.service) sed 's#/usr/sbin/#/usr/local/sbin/#' "$source" >"$target.new" ;;
		*) cp "$source" "$target.new" ;;
		esac
		chmod "$mode" "$target.new" # then a rename, because the old program may be running
		mv "$target.new" "$target"
	done
	mkdir -p /etc/podlane /etc/cni/net.d
	[ -e /etc/podlane/podlaned.yaml ] || cp podlaned.yaml /etc/podlane/podlaned.yaml
	with_systemd systemctl daemon-reload
	with_systemd systemd-tmpfiles --create podlane.conf
	modprobe -qa vxlan br_netfilter 2>/dev/null || true
	with_systemd systemctl --quiet enable podlaned.service
	with_systemd systemctl --no-block restart podlaned.service
	echo "installed; set etcd-endpoints in /etc/podlane/podlaned.yaml, then run: systemctl restart podlaned"
}

remove_files() {
	echo "$files" | while read -r source target _; do
		[ -z "$source" ] || [ -L "$target" ] || rm -f "$target" # a link belongs to the package
	done
}

uninstall_all() {
	if [ -e /usr/sbin/podlaned ]; then # keep the overlay for the package; our files hide those of the package
		remove_files
		with_systemd systemctl --quiet reenable podlaned.service
		with_systemd systemctl --no-block restart podlaned.service
		echo "uninstalled; podlane now runs from its package"
		return
	fi
	with_systemd systemctl --quiet disable --now podlaned.service || true
	/usr/local/sbin/podlaned cleanup || true
	remove_files
	rm -rf /var/lib/podlane /run/podlane
	with_systemd systemctl daemon-reload
	echo "uninstalled; /etc/podlane is kept"
}

case ${1:-} in
"") install_all ;;
uninstall) uninstall_all ;;
*)
	echo "usage: install.sh [uninstall]" >&2
	exit 2
	;;
esac
