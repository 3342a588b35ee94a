#!/usr/bin/env bash
# Makes src/formats/rootfs/squashfs/wasm/squashfs.wasm: the crate backhand as WebAssembly. Debian 13's Rust 1.85.1, in a
# temporary chroot, makes it byte for byte as committed. Needs mmdebstrap, and cargo to fetch the crates of crates.lock:
# a Cargo.lock without the lines that name a registry.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)/squashfs
out=${1:-$here/../../../src/formats/rootfs/squashfs/wasm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out" "$work/build/.cargo"

cp -r "$here"/{Cargo.toml,src} "$work/build"
(
  cd "$work/build"
  cargo --quiet generate-lockfile
  registry=$(grep -m1 '^source = ' Cargo.lock)
  sed "s|^checksum = |$registry\n&|" "$here/crates.lock" >Cargo.lock
  cargo vendor --locked >.cargo/config.toml
)
backhand=$work/build/vendor/backhand
patch --quiet -d "$backhand" -p1 <"$here/backhand.patch"
# The patched crate no longer matches the hash in the lock file, which cargo has checked when it fetched the crate.
sed -i 's/"files":{[^}]*}/"files":{}/' "$backhand/.cargo-checksum.json"

# The module reads untrusted input, so its memory is limited: enough for 480,000 names, which are 240,000 objects
# and their links.
flags="-C linker=wasm-ld -C link-arg=--max-memory=$((256 << 20))"
# backhand declares a newer Rust than it needs.
build="cargo build --quiet --offline --locked --ignore-rust-version --release --target wasm32-wasip1"
mmdebstrap --quiet --variant=apt --format=null --include=rustc,cargo,libstd-rust-dev-wasm32,lld \
  --customize-hook="copy-in $work/build /" \
  --customize-hook='chroot "$1" rustc --version | grep -q "^rustc 1\.85\.1 "' \
  --customize-hook="chroot \"\$1\" env HOME=/root RUSTFLAGS='$flags' sh -c 'cd /build && $build'" \
  --customize-hook="copy-out /build/target/wasm32-wasip1/release/squashfs.wasm $out" \
  trixie

(cd "$out" && chmod 644 squashfs.wasm && sha256sum squashfs.wasm >SHA256SUMS && cat SHA256SUMS && ls -l)
