#!/bin/sh
# build.sh VERSION OUT [ARCH...]: builds the image for each architecture (amd64 and arm64), and packs it as an OCI archive.
# IMAGE is the image's name.
set -eu
cd "$(dirname "$0")/../.."
version=$1
out=$2
shift 2
[ $# -gt 0 ] || set -- amd64 arm64
trees=bin/image
rm -rf "$trees"
for arch; do
	root=$trees/$arch
	mkdir -p "$root/usr/bin" "$root/etc" "$root/opt/podlane/cni"
	export CGO_ENABLED=0 GOOS=linux GOARCH="$arch"
	for program in daemon:usr/bin/podlaned kube:usr/bin/podlane-kube cni-shim:opt/podlane/cni/podlane-cni gate:opt/podlane/cni/podlane-gate; do
		go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$root/${program#*:}" "./${program%%:*}"
	done
	(cd tools/cni && go build -trimpath -ldflags "-s -w" -o "../../$root/opt/podlane/cni/" tool)
	echo 'root:x:0:0:root:/:/sbin/nologin' >"$root/etc/passwd"
	echo 'root:x:0:' >"$root/etc/group"
	unset GOOS GOARCH
done
commit=$(git log -1 --format=%H 2>/dev/null || true)
time=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
for arch; do set -- "$@" "$arch=$trees/$arch"; shift; done
go run ./dist/image ${IMAGE:+-name "$IMAGE"} -version "$version" -revision "$commit" -time "$time" -out "$out" "$@"
