#!/bin/sh
# root.sh FOLDER: makes the root file system of the machines, a small Debian with systemd and the standard CNI plugins, in
# FOLDER, in place of what is there. It takes half a minute and needs root.
set -eu
folder=$1
if [ "$(id -u)" -ne 0 ]; then
	echo "no machines are made: that needs root" >&2
	exit 0
fi
mkdir -p "$(dirname "$folder")"
rm -rf "$folder" "$folder.new"
log=$folder.log
debootstrap --variant=minbase \
	--include=systemd-sysv,dbus,udev,iproute2,iputils-ping,procps,containernetworking-plugins \
	bookworm "$folder.new" >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
rm -f "$folder.new/etc/hostname" "$folder.new/etc/resolv.conf"
rm -rf "$folder.new/var/cache/apt" "$folder.new/var/lib/apt/lists" "$folder.new/usr/share/doc" "$folder.new/usr/share/locale"
mkdir -p "$folder.new/var/cache/apt/archives/partial"
: >"$folder.new/etc/machine-id"
rm -f "$folder.new"/etc/systemd/system/timers.target.wants/*
rm -f "$log"
mv "$folder.new" "$folder"
touch "$folder"
