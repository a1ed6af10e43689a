#!/bin/sh
# pack.sh VERSION [FOLDER [ARCH...]]: builds podlaned, podlane-cni and podlane-gate for each architecture (amd64 and arm64).
# It packs them into FOLDER (dist/out): podlane-VERSION-linux-ARCH.tar.gz, a Debian package, an RPM package, and checksums. It
# writes podlane.yaml and podlane-k3s.yaml for Kubernetes there, too. It needs bin/nfpm and bin/helm.
set -eu
cd "$(dirname "$0")/.."
version=$1
out=${2:-dist/out}
if [ $# -gt 2 ]; then shift 2; else set -- amd64 arm64; fi
nfpm=$PWD/bin/nfpm

# The packages' versions sort like this: a commit without a tag, 1.2.0-rc.1, 1.2.0, 1.2.0-3-g1234567.
number=${version#v}
case $number in
[0-9]*.*) ;;
*) number=0~$number ;;
esac
number=$(echo "$number" | sed 's/-\(alpha\|beta\|rc\)/~\1/; s/-/+/g')
SOURCE_DATE_EPOCH=$(git show -s --format=%ct HEAD 2>/dev/null || date +%s)
export VERSION="$number" SOURCE_DATE_EPOCH ARCH

# Remove only the files of an earlier run: the folder may have others.
rm -rf "$out"/podlane-*-linux-* "$out"/podlane_*.deb "$out"/podlane-*.rpm
mkdir -p "$out"
for ARCH; do
	name=podlane-$version-linux-$ARCH
	mkdir "$out/$name"
	for program in daemon:podlaned cni-shim:podlane-cni gate:podlane-gate; do
		CGO_ENABLED=0 GOOS=linux GOARCH=$ARCH go build -trimpath \
			-ldflags "-s -w -X main.version=$version" -o "$out/$name/${program#*:}" "./${program%%:*}"
	done
	cp -r README.md CHANGELOG.md docs dist/cni/10-podlane.conflist dist/podlaned.yaml dist/systemd dist/install.sh "$out/$name/"
	tar -C "$out" --owner=0 --group=0 --sort=name -czf "$out/$name.tar.gz" "$name"
	cp dist/packages/* "$out/$name/"
	for kind in deb rpm; do
		(cd "$out/$name" && "$nfpm" package -p "$kind" -t ..)
	done
	rm -r "${out:?}/$name"
done
sh dist/kubernetes/manifests.sh "$version" "$out"
cd "$out"
sha256sum podlane-*.tar.gz podlane_*.deb podlane-*.rpm podlane*.yaml >SHA256SUMS
cat SHA256SUMS
