#!/bin/sh
# pack.sh VERSION: builds podlaned and podlane-cni for each architecture and packs them, with what goes along, into
# dist/out/podlane-VERSION-linux-ARCH.tar.gz beside their checksums.
set -eu
cd "$(dirname "$0")/.."
version=$1
out=dist/out
rm -rf "$out"
mkdir -p "$out"
for arch in amd64 arm64; do
	name=podlane-$version-linux-$arch
	mkdir "$out/$name"
	for program in daemon:podlaned cni-shim:podlane-cni; do
		CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath \
			-ldflags "-s -w -X main.version=$version" -o "$out/$name/${program#*:}" "./${program%%:*}"
	done
	cp README.md CHANGELOG.md dist/cni/10-podlane.conflist dist/podlaned.yaml "$out/$name/"
	tar -C "$out" --owner=0 --group=0 --sort=name -czf "$out/$name.tar.gz" "$name"
	rm -r "${out:?}/$name"
done
cd "$out"
sha256sum -- *.tar.gz >SHA256SUMS
cat SHA256SUMS
