#!/usr/bin/env bash
# Prepares a bare Debian machine (bookworm or newer, root or sudo). Safe to run again: each step first
# checks whether there is anything to do.
#
#   scripts/setup.sh                the program: Node, npm packages, the build, QEMU for this machine, and
#                                   the command in ${PREFIX:-/usr/local}/bin
#   scripts/setup.sh --quickstart   also everything that builds and boots the x86_64 fixture
#   scripts/setup.sh --tests        also everything that the tests need
#   scripts/setup.sh --command      only the command
#   . scripts/setup.sh --env        only set PATH, and the certificates for Node, in this shell
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$here/.tools

# Node packages that carry the plain binary; needs no download beyond the npm registry.
node_bin() { echo "$tools/node/node_modules/node-linux-$1/bin"; }
case $(uname -m) in
  x86_64) node_arch=x64 ;;
  aarch64) node_arch=arm64 ;;
  *) node_arch= ;;
esac
if [ -n "$node_arch" ] && [ -x "$(node_bin "$node_arch")/node" ]; then
  PATH=$(node_bin "$node_arch"):$PATH
fi
[ ! -d "$tools/bin" ] || PATH=$tools/bin:$PATH
export PATH
# Node has its own list of certificate authorities; a network whose proxy has its own authority needs the system's.
system_ca=/etc/ssl/certs/ca-certificates.crt
[ ! -r "$system_ca" ] || export NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-$system_ca}"
[ "${1-}" = --env ] && return 0

set -euo pipefail
cd "$here"
say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

command_in() { echo "${PREFIX:-/usr/local}/bin/iso-rehydrate"; }
# Installs a launcher that runs the program with this Node, whichever Node the system has.
install_command() {
  local file made as=as_root
  file=$(command_in)
  if [ -e "$file" ] && ! grep -qs 'written by scripts/setup.sh' "$file"; then
    say "$file belongs to another program and was left alone. Run PREFIX=… scripts/setup.sh --command for another place"
    return
  fi
  made=$(printf '#!/bin/sh\n# iso-rehydrate of a checkout; written by scripts/setup.sh\nexec "%s" "%s" "$@"' \
    "$(command -v node)" "$here/dist/src/cli/bin.js")
  [ "$(cat "$file" 2>/dev/null)" != "$made" ] || return 0
  say "Installing the command: $file"
  # Root is needed only for the system's folders.
  if mkdir -p "${file%/*}" 2>/dev/null && [ -w "${file%/*}" ]; then as=; fi
  $as mkdir -p "${file%/*}"
  printf '%s\n' "$made" | $as tee "$file" >/dev/null
  $as chmod 755 "$file"
  case :$PATH: in *:"${file%/*}":*) ;; *) say "${file%/*} is not in PATH: call $file" ;; esac
}

want=${1:-program}
case $want in
  program | --quickstart | --tests) ;;
  --command) install_command; exit ;;
  *) say "unknown option $want: use --quickstart, --tests, --command or nothing"; exit 2 ;;
esac

# The program: xz for dehydrating .xz files, gpgv for --keyring, and the emulator of this machine.
packages=(ca-certificates gpgv xz-utils)
case $(uname -m) in
  aarch64) qemu_packages=(qemu-system-arm) ;;
  ppc64le) qemu_packages=(qemu-system-ppc) ;;
  s390x) qemu_packages=(qemu-system-s390x) ;;
  *) qemu_packages=(qemu-system-x86) ;;
esac
if [ "$want" != program ]; then
  # What the fixture builder calls: see scripts/fixture/tools.ts.
  packages+=(
    mmdebstrap debian-archive-keyring ostree squashfs-tools erofs-utils xorriso cpio gdisk dosfstools mtools
    e2fsprogs xfsprogs mount util-linux zip zstd
  )
  qemu_packages+=(qemu-system-x86 qemu-utils)
fi
if [ "$want" = --tests ]; then
  # Foreign architectures, tools to compare with, a browser, a registry, a container builder, a compiler.
  packages+=(
    unzip pigz libarchive-tools fdisk kmod busybox-static isolinux syslinux-common gpg arch-test binfmt-support
    squashfs-tools-ng rdiff xdelta3 rsync python3 procps git openssl systemd
    zsh fish mandoc
    curl chromium docker-registry skopeo buildah gcc libc6-dev libostree-dev libssl-dev libzstd-dev pkg-config
  )
  qemu_packages+=(qemu-system-arm qemu-system-ppc qemu-system-s390x qemu-user-static)
fi

installed() { dpkg-query -W -f '${Status}\n' "$@" 2>/dev/null | grep -c '^install ok installed' || true; }
apt_install() { as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2; }
apt_updated=
apt_update() {
  [ -n "$apt_updated" ] && return
  # A mirror is sometimes out of step with its index: try again.
  for _ in 1 2 3; do as_root apt-get update -q >&2 && break || sleep 5; done
  apt_updated=yes
}

qemu_major() { { "qemu-system-$(uname -m | sed 's/ppc64le/ppc64/')" --version 2>/dev/null || true; } | sed -n 's/^QEMU emulator version \([0-9]*\).*/\1/p'; }

# at_least WANTED FOUND: whether the second version is the first or a later one.
at_least() { [ -n "$2" ] && printf '%s\n' "$1" "$2" | sort -VC; }

# install_at_least VERSION PACKAGE...: from backports if Debian's own (of the first package) is older.
# Debian 12 has QEMU 7.2 and Go 1.19, its backports have 10 and 1.23.
install_at_least() {
  local wanted=$1 candidate
  shift
  apt_update
  candidate=$(apt-cache policy "$1" | sed -n 's/.*Candidate: \([0-9]*:\)\?\([0-9.]*\).*/\2/p')
  if at_least "$wanted" "$candidate"; then
    apt_install "$@"
  else
    enable_backports
    apt_update
    apt_install -t "$(backports)" "$@"
  fi
}
backports() { echo "$(. /etc/os-release && echo "$VERSION_CODENAME")-backports"; }
enable_backports() {
  local suite mirror
  suite=$(backports)
  grep -rqs -- "$suite" /etc/apt/sources.list /etc/apt/sources.list.d && return
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | grep -m1 '/debian/*$')
  printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
    "${mirror%/}" "$suite" | as_root tee /etc/apt/sources.list.d/iso-rehydrate-backports.sources >/dev/null
  apt_updated=
}

qemu_packages=($(printf '%s\n' "${qemu_packages[@]}" | sort -u))

if [ "$(installed "${packages[@]}")" -lt "${#packages[@]}" ]; then
  say "Installing system packages"
  apt_update
  apt_install "${packages[@]}"
  # The tests start a registry of their own; the package would run one as a service.
  [ "$want" != --tests ] || as_root systemctl disable --now docker-registry >/dev/null 2>&1 || true
fi
if ! at_least 8 "$(qemu_major)" || [ "$(installed "${qemu_packages[@]}")" -lt "${#qemu_packages[@]}" ]; then
  say "Installing QEMU"
  install_at_least 8 "${qemu_packages[@]}"
fi

node_ok() { node -e 'const [a,b]=process.versions.node.split(".").map(Number);process.exit(a>22||(a===22&&b>=18)?0:1)' 2>/dev/null; }
if ! node_ok; then
  say "Installing Node 24 into .tools"
  command -v npm >/dev/null || { apt_update; apt_install nodejs npm; }
  [ -n "$node_arch" ] || { say "Node >= 22.18 is needed and there is no package for $(uname -m): install it yourself"; exit 8; }
  # This very build: its lock file has the version and the hash.
  mkdir -p "$tools/node"
  cp scripts/tools/node/"$node_arch"/package*.json "$tools/node/"
  npm ci --loglevel=error --no-audit --no-fund --ignore-scripts --prefix "$tools/node" >&2
  PATH=$(node_bin "$node_arch"):$PATH
  node_ok || { say "Node did not install"; exit 8; }
fi

if [ ! -e node_modules/.package-lock.json ] || [ npm-shrinkwrap.json -nt node_modules/.package-lock.json ]; then
  say "Installing npm packages"
  # Not `npm ci`: npm 11 refuses a lock file that does not list other platforms' optional packages,
  # which npm 11 itself leaves out when it writes one. This takes the locked versions all the same.
  npm install --no-save --no-audit --no-fund --ignore-scripts >&2
fi
if [ "$want" = --tests ]; then
  # notation, which signs, and oras, another registry client. Debian 12 has neither; they are Go modules. If Debian's
  # Go is too old for them, it fetches a newer one, which is a module, too. The module's go.sum pins all of it.
  go_version() { { GOTOOLCHAIN=local go version 2>/dev/null || true; } | sed -n 's/.* go\([0-9.]*\).*/\1/p'; }
  if [ ! -x "$tools/bin/oras" ] || [ scripts/tools/go.mod -nt "$tools/bin/oras" ]; then
    say "Building notation and oras"
    at_least 1.21 "$(go_version)" || install_at_least 1.21 golang-go
    hash -r
    toolchain=local
    at_least 1.26.7 "$(go_version)" || toolchain=go1.27.3
    mkdir -p "$tools/bin"
    GOTOOLCHAIN=$toolchain CGO_ENABLED=0 \
      go -C scripts/tools build -trimpath -ldflags='-s -w' -o "$tools/bin/" tool >&2
  fi
  # What makes container images of OSTree commits: no Debian suite has it, but its crate. Kept for the next checkout.
  manifest=scripts/tools/ostree-ext
  kept=$HOME/.cache/iso-rehydrate/tools/ostree-ext-$(cat "$manifest"/Cargo.* "$manifest"/src/* | sha256sum | cut -c1-16)
  if [ ! -x "$kept" ]; then
    say "Building ostree-ext"
    rust_version() { { rustc --version 2>/dev/null || true; } | sed -n 's/^rustc \([0-9.]*\).*/\1/p'; }
    if ! command -v cargo >/dev/null || ! at_least 1.85 "$(rust_version)"; then
      # Debian 12 has a newer Rust, under other names.
      apt_update
      if apt-cache show rustc-web >/dev/null 2>&1; then apt_install rustc-web cargo-web; else apt_install rustc cargo; fi
      hash -r
    fi
    mkdir -p "${kept%/*}"
    built=$(mktemp -d)
    cargo build --quiet --release --locked --manifest-path "$manifest/Cargo.toml" --target-dir "$built" >&2
    mv "$built/release/ostree-ext" "$kept.$$"
    mv "$kept.$$" "$kept"
    rm -rf "$built"
  fi
  mkdir -p "$tools/bin"
  cmp -s "$kept" "$tools/bin/ostree-ext" || install "$kept" "$tools/bin/ostree-ext"
fi

# Not while nothing has changed: tests may be using what is there.
if [ ! -e dist/src/cli/bin.js ] ||
  [ -n "$(find src vm images package.json tsconfig*.json -newer dist/src/cli/bin.js -print -quit)" ]; then
  say "Building"
  npm run --silent build >&2
fi
install_command
