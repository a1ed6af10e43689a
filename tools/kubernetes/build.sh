#!/bin/sh
# build.sh OUT: builds Kubernetes and its tests into the folder OUT, only from Go modules. The first time it takes 8 minutes on
# two cores, and 20 if they are busy. It prints how far it is every 15 s.
set -eu
out=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")"
version=v1.35.4
export CGO_ENABLED=0
options="-trimpath -buildvcs=false"
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
	for x in gitVersion=$version gitMajor=1 gitMinor=35 gitTreeState=clean gitCommit=module; do
		flags="$flags -X $package.$x"
	done
done

began=$(date +%s)
log=$(mktemp)
ticker=
trap 'rm -f "$log"; [ -z "$ticker" ] || kill "$ticker" 2>&-' EXIT
trap 'exit 130' INT TERM
progress() { # progress WHAT TOTAL: prints a line every 15 s. The log has a line for each package that the compiler has begun
	seconds=0
	while sleep 1; do
		seconds=$((seconds + 1))
		[ $((seconds % 15)) != 0 ] || state "$1" "$2"
	done
}
state() {
	compiled=$(grep -c '^[^# ]*$' "$log" || true)
	now=$(($(date +%s) - began))
	if [ "$compiled" -lt "$2" ]; then doing="compiled $compiled of $2 packages"; else doing="compiled all $2 packages, linking"; fi
	printf '%2d:%02d  %s: %s\n' $((now / 60)) $((now % 60)) "$1" "$doing"
}
build() { # build WHAT "PACKAGES" COMMAND...: runs a build of Go and prints how far it is
	what=$1 packages=$2
	shift 2
	# shellcheck disable=SC2086 # several words each
	total=$(go list $options -deps -test="${tests:-false}" -f '{{if and .Stale (ne .Name "main")}}x{{end}}' $packages | grep -c x || true)
	: >"$log"
	progress "$what" "$total" &
	ticker=$!
	"$@" 2>"$log" || { cat "$log" >&2; exit 1; }
	kill "$ticker"
	ticker=
	now=$(($(date +%s) - began))
	printf '%2d:%02d  %s: built\n' $((now / 60)) $((now % 60)) "$what"
}

# shellcheck disable=SC2086
{
	build "1 of 5, Kubernetes" tool go build -v $options -ldflags "$flags" -o "$out/" tool
	tests=true build "2 of 5, Kubernetes' tests" k8s.io/kubernetes/test/e2e go test -v -c $options -ldflags "$flags" -o "$out/e2e.test" k8s.io/kubernetes/test/e2e
	cd coredns
	build "3 of 5, CoreDNS" . go build -v $options -ldflags '-s -w' -o "$out/coredns" .
	cd ../etcd
	for program in etcd=server etcdctl=etcdctl; do
		package=go.etcd.io/etcd/${program#*=}/v3
		build "4 of 5, ${program%=*}" "$package" go build -v $options -ldflags '-s -w' -o "$out/${program%=*}" "$package"
	done
	cd ../pause
	build "5 of 5, pause" . go build -v $options -ldflags '-s -w' -o "$out/pause" .
	cd ..
}
install -m 644 "$(go list -m -f '{{.Dir}}' k8s.io/kubernetes)"/test/images/agnhost/porter/localhost.* "$out/"
