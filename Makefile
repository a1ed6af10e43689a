# podlane: `make` alone lists what there is to make.
export CGO_ENABLED ?= 0
export PATH := $(PATH):/usr/sbin:/sbin
# Without its traces, gRPC does not import text/template, for which the linker must keep every exported method: podlaned is 17 % smaller.
export GOFLAGS := $(GOFLAGS) -tags=grpcnotrace
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
BUILD    = go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
.PHONY: help build deps lab check test test-kubernetes soak lint bench benchmarks dist image clean
LINT     = bin/golangci-lint run ./... && go mod tidy -diff && go vet ./...
# The packages whose tests need root: their TestMain is lab/sandbox's. Without root they are skipped.
NEED_ROOT = $(shell grep -rlE --include='*_test.go' --exclude-dir=bin '\bMain\(m\)' . | xargs -n1 dirname | sort -u | sed "s|^\.|$$(go list -m)|")

help: ## show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24
build: bin/cni/bridge ## build podlaned, podlane-cni, podlane-gate, the lab and the standard CNI plugins into bin/
	$(BUILD) -o bin/podlaned ./daemon
	$(BUILD) -o bin/podlane-cni ./cni-shim
	$(BUILD) -o bin/podlane-gate ./gate
	$(BUILD) -o bin/podlane-kube ./kube
	$(BUILD) -o bin/lab ./lab/cmd
	$(BUILD) -o bin/bench ./bench
	$(BUILD) -o bin/_empty ./bench/empty
	$(BUILD) -o bin/_turns ./bench/turns
bin/cni/bridge: tools/cni/go.mod
	@mkdir -p bin/cni && cd tools/cni && go build -trimpath -ldflags "-s -w" -o ../../bin/cni/ tool && touch ../../$@
bin/golangci-lint: tools/lint/go.mod
	@mkdir -p bin && cd tools/lint && go build -trimpath -o ../../bin/ tool && touch ../../$@
bin/helm bin/kustomize bin/nfpm: bin/%: tools/%/go.mod
	@mkdir -p bin && cd tools/$* && go build -trimpath -ldflags "-s -w" -o ../../bin/ tool && touch ../../$@
bin/_machine: tests/machines/root.sh
	@sh lab/deps.sh debootstrap systemd-nspawn=systemd-container && sh tests/machines/root.sh $@
bin/_etcd.deb: # Debian's, for a machine of the tests
	@mkdir -p bin && cd bin && { apt-get -qq download etcd-server 2>/dev/null || { apt-get -qq update && apt-get -qq download etcd-server; }; } && mv etcd-server_*.deb _etcd.deb
deps: # what the lab and the tests need of Debian
	@sh lab/deps.sh
lab: build deps ## run a pod network of three nodes on this machine (root); LAB_FLAGS=--once ends after the table
	bin/lab up $(LAB_FLAGS)
check: build bin/golangci-lint bin/helm bin/kustomize ## check the code and run the tests that need no root: under two minutes
	$(LINT)
	@go test $(filter-out $(NEED_ROOT),$(shell go list ./...))
	@printf '%s\n' 'skipped, because their tests need root (make test runs them):' $(NEED_ROOT)
test: build deps bin/helm bin/kustomize bin/nfpm bin/_machine bin/_etcd.deb ## run every test; those that touch the kernel need root
	@sh lab/deps.sh containerd runc busybox=busybox-static strace
	go test -timeout 40m ./...
	@sh tests/fuzz.sh
	@echo 'skipped, because their tests need root:'; if [ "$$(id -u)" = 0 ]; then echo none; else printf '%s\n' $(NEED_ROOT); fi
test-kubernetes: build deps bin/helm ## run podlane in a whole Kubernetes, with its conformance tests; ONLY=smoke runs one step
	@sh lab/deps.sh containerd runc tini curl wget iperf nc=netcat-openbsd dig=bind9-dnsutils busybox=busybox-static
	sh tools/kubernetes/build.sh bin/kubernetes && for tag in v1 v2; do sh dist/image/build.sh $$tag bin/podlane-$$tag.tar $$(go env GOARCH); done && sh dist/kubernetes/manifests.sh v1 bin
	go test -v -count 1 -timeout 2h ./tests/kubernetes -cluster $(if $(ONLY),-only '$(ONLY)')
soak: build deps ## make faults in random order; SOAK=20m for how long, SEED=1 for the order of an earlier one
	go test -v -count 1 -timeout 0 -run '^TestSoak$$' ./tests/faults -soak $(or $(SOAK),20m) -seed $(or $(SEED),0)
lint: bin/golangci-lint ## check the code and the scripts
	@sh lab/deps.sh shellcheck vagrant
	$(LINT)
	shellcheck .ci/run $$(git ls-files '*.sh') && vagrant validate --ignore-provider
bench: build deps ## measure beside the kernel and the standard tools (root, 28 minutes), into bench/RESULTS.md; ONLY=start,join measures these; BESIDE=FOLDER compares path with the podlaned there
	@sh lab/deps.sh strace
	bin/bench --out bench $(if $(ONLY),--only $(ONLY)) $(if $(BESIDE),--beside '$(BESIDE)')
benchmarks: ## run the Go benchmarks, for benchstat: COUNT=10 times
	go test -run '^$$' -bench . -benchmem -count $(or $(COUNT),1) ./...
dist: bin/nfpm bin/helm ## pack archives, Debian and RPM packages for amd64 and arm64, and podlane.yaml for Kubernetes into dist/out/
	sh dist/pack.sh "$(VERSION)"
image: ## make the container image for amd64 and arm64, as an OCI archive: bin/podlane-image.tar
	sh dist/image/build.sh "$(VERSION)" bin/podlane-image.tar
clean: ## remove what make made
	rm -rf bin dist/out
