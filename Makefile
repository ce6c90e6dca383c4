# `make help` lists the targets. Tests and demo need Linux and root (or sudo).
SHELL       := bash
GO          ?= go
OUT         := .build
SUDO        := $(if $(filter 0,$(shell id -u)),,sudo)
FUZZTIME    ?= 10s
BENCHTIME   ?= 1s
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOTESTSUM   := gotest.tools/gotestsum@v1.13.0
CROSS       := mips-softfloat mipsle-softfloat arm-5 arm-6 arm-7 arm64 amd64 386
# The version stands in one place. RELEASE counts packagings of one version.
VERSION     ?= $(shell sed -n 's/^var version = "\(.*\)"/\1/p' agent/cmd/meshagent/main.go)
RELEASE     ?= 1
# Time of all files in packages: that of the commit.
EPOCH       ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
DIST        ?= dist
KEYS        ?= $(OUT)/keys
# Bytes that the program may have as gzip -9, on MIPS and elsewhere: what it has
# and 1 %. Packages are compressed better, by 4 %.
BUDGET      ?= 1977000
BUDGET_REST ?= 2086000
# Bytes that a package may have, of whatever format.
PACKAGE_MAX ?= 2000000
# Programs for routers lose what only tracebacks use (ADR 027); SLIM= keeps it.
SLIM        ?= 1
# Programs for routers are compiled without inlining except here, where packets
# pass: 9 % less to download (openwrt-feed/README.md).
HOT         := runtime runtime/... internal/runtime/... internal/abi internal/cpu internal/bytealg internal/goarch internal/byteorder \
  sync sync/... internal/sync encoding/binary math/bits slices cmp crypto/subtle crypto/internal/fips140/subtle \
  crypto/internal/fips140/alias golang.org/x/crypto/... \
  $(addprefix github.com/meshagent/meshagent/agent/,mono pkt cryptoauth switchcore netio)
# Smaller in programs for routers: the garbage collector of Go 1.25, and slices of
# unknown length on the heap at once, outside of HOT, instead of two ways for each.
SPARE_ENV   := GOEXPERIMENT=nogreenteagc
SPARE       := -d=variablemakethreshold=0
# Functions begin at multiples of 16 bytes on x86-64, as they do on x86, and not of 32.
ALIGN_amd64 := -funcalign=16
# what package hw/air needs: the tools to build a kernel, and those that run in it
AIR_NEEDS   := linux-source gcc make bc bison flex xz unshare iw ip ping batctl
# boards that check-board emulates, by their programs, and what each needs
BOARDS      ?= mips-softfloat
BOARD_NEEDS_mips-softfloat   := qemu-system-mips mips-linux-gnu-gcc
BOARD_NEEDS_mipsle-softfloat := qemu-system-mipsel mips-linux-gnu-gcc
BOARD_NEEDS_arm-7            := qemu-system-arm arm-linux-gnueabihf-gcc
BOARD_NEEDS_arm64            := qemu-system-aarch64 aarch64-linux-gnu-gcc
# packages with tests that make network namespaces
NETNS        = $(shell grep -rl --include='*_test.go' '^//go:build netns' agent hw | xargs -r -n1 dirname | sort -u | sed 's|^|./|')
# $(call system,FORMAT,PACKAGES,ARGUMENTS) is go test for tests with real processes.
# Up to three that fail run once more each, alone, and both runs are printed: a
# busy machine may stop a process for a second. Twice in a row is a failure.
system       = @if test -x $(OUT)/gotestsum || GOBIN=$(CURDIR)/$(OUT) $(GO) install $(GOTESTSUM); then \
  $(OUT)/gotestsum --format $(1) --rerun-fails=1 --rerun-fails-max-failures=3 --rerun-fails-run-root-test --packages='$(2)' -- $(3); \
  else echo "no $(GOTESTSUM) here: what fails is not run again"; $(GO) test $(3) $(2); fi
# a demo that fails is run once more, like other tests with real processes
demo-check   = $(MAKE) --no-print-directory demo $(1) ARGS=--check || { echo "once more:"; $(MAKE) --no-print-directory demo $(1) ARGS=--check; }

# how tests in guest kernels are run: static, since a guest has no libraries
GUEST        = -tags guest -count=1 -timeout 35m -ldflags '-s -w' \
  -exec '$(SUDO) env MESHAGENT=$(CURDIR)/$(OUT)/meshagent GUEST_ARTEFACTS=$(CURDIR)/$(OUT)/guest'
check-guest check-air check-board: export CGO_ENABLED := 0

.PHONY: all help needs build check fmt vet lint arch deps unit test netns check-guest check-air check-board interop fuzz bench bench-mesh bench-join bench-scale bench-air check-rss size cross reproducible check-cross check-cross-big packages deb check-packages luci-tree check-luci luci-po luci-install demo check-long clean
all: check build

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12
needs: ## install the Debian packages that tests and demo use, where missing
	@$(SUDO) hw/needs.sh gcc ip ping iperf3 nft setpriv ssh sshd
build: ## build meshagent for this machine into .build/
	$(GO) build -trimpath -o $(OUT)/meshagent ./agent/cmd/meshagent
check: fmt vet lint arch ## all that looks at the sources without running them
fmt: ## fail on files that gofmt would change
	@! gofmt -l agent bench hw | grep . >&2
vet: ## go vet, here and for 32-bit big-endian
	$(GO) vet -tags netns,guest ./...
	GOOS=linux GOARCH=mips CGO_ENABLED=0 $(GO) vet ./agent/...
	GOOS=linux GOARCH=mips CGO_ENABLED=0 $(GO) vet -tags board ./hw/board/onboard
lint: ## golangci-lint if it is installed, else staticcheck
	@if command -v golangci-lint >/dev/null; then golangci-lint run; \
	elif test -x $(OUT)/staticcheck || GOBIN=$(CURDIR)/$(OUT) $(GO) install $(STATICCHECK); then $(OUT)/staticcheck -tags netns,guest ./...; \
	else echo "lint: NOT RUN: no golangci-lint here, and $(STATICCHECK) cannot be had"; fi
arch: ## hold the import table and the dependency list
	$(GO) test -count=1 -run 'Import|Dependencies' ./agent
deps: ## write docs/deps.txt anew
	UPDATE_DEPS=1 $(GO) test -count=1 -run Dependencies ./agent
unit: ## unit tests with the race detector
	$(GO) test -race -shuffle=on -timeout 20m ./...
test: needs check unit check-packages netns ## everything that must pass before a change goes in
	$(call demo-check,)
	$(call demo-check,SPINE=1)
	$(call demo-check,MESH=1)
	$(call demo-check,CHAIN=8)
netns: needs build ## tests between network namespaces; interop too if CJDROUTE names a cjdroute
	$(call system,standard-quiet,$(NETNS),-tags netns -count=1 -p 1 -parallel 4 -timeout 20m -exec '$(SUDO) env MESHAGENT=$(CURDIR)/$(OUT)/meshagent CJDROUTE=$(CJDROUTE) ROUTESERVER=$(ROUTESERVER)')
check-guest: build ## our mesh against the kernel's batman-adv, in emulated machines, then check-air, check-board and big-endian unit tests; kernels go to ~/.cache/meshagent
	@$(SUDO) hw/needs.sh ip bridge tc ping iperf3 nft dash xz zstd batctl busybox qemu-system-x86_64
	$(call system,standard-verbose,./hw/guest,$(GUEST) $(ARGS))
	$(if $(ARGS),,$(MAKE) --no-print-directory check-air check-board check-cross-big)
check-air: build ## agents on simulated radios, in a kernel with virtual time that is built once (ten minutes of processor time) into ~/.cache/meshagent
	@$(SUDO) hw/needs.sh ip ping wpa_supplicant $(AIR_NEEDS)
	$(call system,standard-verbose,./hw/air,$(GUEST) $(ARGS))
	$(if $(ARGS),,$(call demo-check,WIFI=1))
check-board: export BOARDS := $(BOARDS)
check-board: export PROGRAMS = $(CURDIR)/$(OUT)/cross
check-board: $(BOARDS:%=$(OUT)/cross/meshagent-linux-%) ## agents on emulated router boards, big-endian MIPS or those of BOARDS; kernels are built once (ten minutes of processor time each) into ~/.cache/meshagent
	@$(SUDO) hw/needs.sh linux-source gcc make bc bison flex xz $(foreach b,$(BOARDS),$(BOARD_NEEDS_$b))
	$(call system,standard-verbose,./hw/board,-tags guest -count=1 -timeout 100m $(ARGS))
# Without a bound on minimising, a slow target spends all of FUZZTIME on its first find.
fuzz: ## each fuzz target for FUZZTIME
	@set -e; for p in $$($(GO) list ./agent/...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	  echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p; done; done
bench: needs build ## ns and allocations per packet, then throughput between namespaces
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./agent/...
	$(GO) build -o $(OUT)/bench-netns ./bench/netns && $(SUDO) env CJDROUTE=$(CJDROUTE) $(OUT)/bench-netns -agent $(OUT)/meshagent $(ARGS)
bench-mesh: build ## the mesh beside batman-adv, batmand and babeld on the same air (half an hour)
	@$(SUDO) hw/needs.sh ip bridge batmand babeld xz zstd batctl busybox qemu-system-x86_64
	CGO_ENABLED=0 $(GO) build -o $(OUT)/bench-mesh ./bench/mesh && $(SUDO) $(OUT)/bench-mesh -agent $(OUT)/meshagent $(ARGS)
check-rss: build ## memory of an agent alone, and with 100 neighbours of the mesh that are peers, under the limit of a small board; fails beyond 12 and 16 MiB
	@$(SUDO) hw/needs.sh ip
	CGO_ENABLED=0 $(GO) build -o $(OUT)/bench-mesh ./bench/mesh && $(SUDO) env GOMEMLIMIT=12MiB \
	  $(OUT)/bench-mesh -agent $(OUT)/meshagent -kinds meshagent -memory -signed 100 -interval 1s -most-alone 12 -most 16
bench-join: needs build ## identities and the overlay over the mesh: bytes, delays, throughput (a quarter of an hour)
	$(GO) build -o $(OUT)/bench-join ./bench/join && $(SUDO) env CJDROUTE=$(CJDROUTE) $(OUT)/bench-join -agent $(OUT)/meshagent $(ARGS)
bench-scale: needs build ## up to 50 agents by UDP: until all reach all, traffic at rest, healing (a quarter of an hour)
	$(GO) build -o $(OUT)/bench-scale ./bench/scale && $(SUDO) $(OUT)/bench-scale -agent $(OUT)/meshagent $(ARGS)
bench-air: build ## how long routes need to leave a bad radio link, beside the kernel's batman-adv, and the cost of idle agents; simulated radios (half an hour)
	@$(SUDO) hw/needs.sh ip ping $(AIR_NEEDS)
	CGO_ENABLED=0 $(GO) build -o $(OUT)/bench-air ./bench/air && $(SUDO) $(OUT)/bench-air -agent $(OUT)/meshagent $(ARGS)
cross: $(CROSS:%=$(OUT)/cross/meshagent-linux-%) ## static programs for routers into .build/cross/; .build/full/ has them with lines for tracebacks
$(OUT)/cross/meshagent-linux-%: $(OUT)/slim FORCE
	$(SPARE_ENV) GOOS=linux GOARCH=$(word 1,$(subst -, ,$*)) GOMIPS=softfloat GOARM=$(if $(filter arm-%,$*),$(word 2,$(subst -, ,$*))) GO386=sse2 GOAMD64=v1 GOARM64=v8.0 CGO_ENABLED=0 \
	  $(GO) build -trimpath -buildvcs=false -gcflags='all=-l $(SPARE)' $(HOT:%=-gcflags=%=) -ldflags '-s -w -buildid= $(ALIGN_$*) -X main.version=$(VERSION) -X github.com/meshagent/meshagent/agent/daemon.built=$(EPOCH)' -o $(OUT)/full/$(@F) ./agent/cmd/meshagent
	@mkdir -p $(@D)
	$(if $(SLIM),$(OUT)/slim,cp) $(OUT)/full/$(@F) $@
$(OUT)/slim: FORCE
	cd openwrt-feed/tools && $(GO) build -o $(abspath $@) ./cmd/slim
size: cross ## sizes of the programs, plain and compressed; fails beyond BUDGET
	@bench/size/size.sh -b $(BUDGET) $(patsubst %,$(OUT)/cross/meshagent-linux-%,$(filter mips%,$(CROSS)))
	@bench/size/size.sh -b $(BUDGET_REST) $(patsubst %,$(OUT)/cross/meshagent-linux-%,$(filter-out mips%,$(CROSS)))
reproducible: cross packages ## build all again from a copy elsewhere, and compare
	@hw/cross/reproducible.sh $(OUT)/reproducible $(OUT)/cross $(DIST) $(abspath $(KEYS)) VERSION=$(VERSION) RELEASE=$(RELEASE) EPOCH=$(EPOCH)
check-cross: cross ## the programs, and unit tests, on emulated CPUs of routers; ARGS=-short: programs only
	@$(SUDO) hw/needs.sh qemu-mips
	@hw/cross/check.sh $(ARGS) $(OUT)/cross $(OUT)/slim
check-cross-big: $(OUT)/slim ## unit tests on an emulated big-endian CPU, but for the longest
	@$(SUDO) hw/needs.sh qemu-mips
	@hw/cross/check.sh -big $(OUT)/cross $(OUT)/slim
packages: cross luci-tree ## .ipk and .apk with signed indexes into dist/; fails beyond PACKAGE_MAX
	@rm -rf $(DIST)/opkg $(DIST)/apk
	@$(SUDO) hw/needs.sh libdeflate-gzip
	$(MKPKG) -version $(VERSION)-r$(RELEASE)
deb: cross ## .deb into dist/deb/; fails beyond PACKAGE_MAX
	@rm -rf $(DIST)/deb
	@$(SUDO) hw/needs.sh libdeflate-gzip
	$(MKPKG) -debian -version $(VERSION)-r$(RELEASE)
MKPKG = cd openwrt-feed/tools && $(GO) build -o $(abspath $(OUT))/mkpkg ./cmd/mkpkg && cd ../.. && \
  $(OUT)/mkpkg -programs $(OUT)/cross -o $(DIST) -keys $(KEYS) -epoch $(EPOCH) -libdeflate -max $(PACKAGE_MAX)
check-packages: luci-tree ## the package writer against files of the real tools, and the scripts on a small imitation of a router
	@$(SUDO) hw/needs.sh busybox dash libdeflate-gzip
	cd openwrt-feed/tools && ! gofmt -l . | grep . >&2 && $(GO) vet ./... && $(GO) test -exec '$(SUDO)' ./...
luci-tree: ## what the LuCI packages hold, into .build/luci-tree
	openwrt-feed/luci-app-meshagent/stage.sh $(OUT)/luci-tree
check-luci: build ## the LuCI pages in a headless Chromium; LUCI_ROOT=/path: with the runtime of that LuCI; pictures go to .build/luci
	@$(SUDO) hw/needs.sh chromium
	cd openwrt-feed/luci-app-meshagent/test && ! gofmt -l . | grep . >&2 && $(GO) vet ./... && \
	  LUCI_ROOT=$(LUCI_ROOT) MESHAGENT=$(CURDIR)/$(OUT)/meshagent LUCI_ARTEFACTS=$(CURDIR)/$(OUT)/luci $(GO) test -count=1 $(ARGS) ./...
luci-po: ## write the texts of the LuCI pages into their template and translations
	cd openwrt-feed/luci-app-meshagent/test && UPDATE_PO=1 $(GO) test -count=1 -run Translations .
luci-install: ## copy the LuCI pages into a checkout of LuCI, LUCI_ROOT=/path
	LUCI_ROOT=$(LUCI_ROOT) openwrt-feed/luci-app-meshagent/install-into-luci.sh
demo: needs build ## two islands of agents in namespaces; SPINE=1: five agents, MESH=1: a mesh of nine, CHAIN=8: a row, WIFI=1: four on simulated radios; ARGS=--check for a test run
	$(if $(filter-out 0,$(WIFI)),@$(SUDO) hw/needs.sh $(AIR_NEEDS))
	$(GO) build -o $(OUT)/demo ./hw/demo
	$(SUDO) env MESH=$(MESH) WIFI=$(WIFI) CHAIN=$(CHAIN) SUPERNODE=$(SUPERNODE) BOX=$(BOX) SPINE=$(SPINE) $(OUT)/demo -agent $(OUT)/meshagent $(ARGS)
check-long: ## a night's work: fuzzing, repeated and 32-bit unit tests
	$(MAKE) fuzz FUZZTIME=5m
	$(GO) test -race -shuffle=on -count=20 ./agent/...
	ECLIPSE=all $(GO) test -count=1 -run Eclipse -v ./agent/pathfinder
	LOOP_RUNS=1000 $(GO) test -count=1 -run NoLoops -v ./agent/mesh
	GOARCH=386 CGO_ENABLED=0 $(GO) test ./agent/...
	$(MAKE) check-cross reproducible
	$(MAKE) check-board BOARDS="mips-softfloat mipsle-softfloat arm-7 arm64"
clean: ## remove what was built
	rm -rf $(OUT) $(DIST)
FORCE:
