#!/bin/sh
# rootfs.sh FOLDER: makes the file tree of the image that the pods of the tests have: busybox, agnhost, and the commands that
# Kubernetes' own tests run in it, with their libraries, as this machine has them.
set -eu
root=$1
bin=$(cd "$(dirname "$0")/../../bin/kubernetes" && pwd)
for folder in bin etc tmp proc sys dev root var/run usr/bin usr/local/bin uploads; do mkdir -p "$root/$folder"; done
chmod 1777 "$root/tmp"
cp /bin/busybox "$root/bin/busybox"
for applet in $(/bin/busybox --list); do [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"; done
for command in bash curl dig nslookup host nc ss ip iperf getent timeout wget; do # busybox's own are too small, or crash
	path=$(readlink -f "$(command -v "$command")")
	rm -f "$root/bin/$command"
	cp "$path" "$root/bin/$command"
	for library in $(ldd "$path" | grep -o '/[^ ]*'); do
		mkdir -p "$root${library%/*}"
		cp -nL "$library" "$root$library"
	done
done
ln -sf bash "$root/bin/sh"
cp "$bin/agnhost" "$root/agnhost"
cp "$bin"/localhost.* "$root/"
echo root:x:0:0:root:/root:/bin/sh >"$root/etc/passwd"
echo root:x:0: >"$root/etc/group"
echo hosts: files dns >"$root/etc/nsswitch.conf"
