#!/usr/bin/env bash
# Builds the images of the Containerfiles and uses them, on a Debian host without Docker, as root: with buildah, on a base
# image that this script makes from Debian's packages, Node.js and npm.
#
#   scripts/release/try-container.sh BUNDLE ARCH [ENGINE…]
#
# Makes ARCH's `qemu` image of the bundle in the container, by each engine (native and qemu), and serves it.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/setup.sh --env
set -euo pipefail
bundle=$(realpath "${1?"a bundle"}")
arch=${2?"an architecture of it"}
shift 2
[ $# -gt 0 ] || set -- native qemu
say() { printf '\033[1m==>\033[0m %s (%s s)\n' "$*" "$SECONDS" >&2; }
for program in buildah mmdebstrap; do
  command -v "$program" >/dev/null || { say "$program is missing: apt-get install $program"; exit 8; }
done

work=$(mktemp -d)
storage=(--root "$work/storage" --runroot "$work/run" --storage-driver vfs)
b() { local verb=$1; shift; buildah "${storage[@]}" "$verb" "$@"; }
trap 'b rm --all >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

say "The base: Debian 13, Node.js, npm, a user node"
for try in 1 2 3; do
  # A mirror is sometimes out of step with its index.
  mmdebstrap --quiet --variant=minbase --include=ca-certificates,passwd trixie "$work/base" && break
  [ "$try" -lt 3 ] || exit 1
  rm -rf "$work/base"
done
cp "$(command -v node)" "$work/base/usr/local/bin/"
npm install --silent --no-audit --no-fund --global --prefix "$work/base/usr/local" npm@11
chroot "$work/base" useradd --create-home --uid 1000 node
# For networks whose proxy has a certificate authority of its own.
cp /etc/ssl/certs/ca-certificates.crt "$work/base/etc/ssl/certs/"
base=$(b from scratch)
b add --quiet "$base" "$work/base" / >/dev/null
b config --env NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt "$base"
b commit --quiet --rm "$base" local/node:24 >/dev/null
rm -rf "$work/base"

say "The image"
mkdir "$work/context"
npm pack --silent --ignore-scripts --pack-destination "$work/context" >/dev/null
cp -al "$bundle" "$work/context/bundle" 2>/dev/null || cp -r "$bundle" "$work/context/bundle"
b bud --quiet --isolation chroot --build-arg BASE=localhost/local/node:24 \
  -f scripts/release/Containerfile -t iso-rehydrate "$work/context" >/dev/null
b bud --quiet --isolation chroot --build-arg BUNDLE=bundle \
  -f scripts/release/Containerfile.bundle -t local/coreos-images "$work/context" >/dev/null
container=$(b from local/coreos-images)
rm -rf "$work/context"

# `buildah run` ignores the entry point.
run() { b run --isolation chroot "$container" -- iso-rehydrate "$@"; }
# As GitHub does: another user, in a folder of that user's.
say "In it: user 1001 writes into a workspace; the image's own user is not root"
[ "$(b run --isolation chroot "$container" -- id -u)" = 1000 ]
mkdir "$work/workspace" && chown 1001 "$work/workspace"
b run --isolation chroot --user 1001 --volume "$work/workspace:/workspace" --workingdir /workspace "$container" -- \
  iso-rehydrate --arch "$arch" --platform metal/pxe --cache-dir /workspace/cache --quiet -o /workspace/pxe/ >&2
[ "$(stat -c %u "$work"/workspace/pxe/* | sort -u)" = 1001 ]
say "In it: --version, inspect"
run --version
run inspect /bundle | head -n 6
for engine; do
  say "In it: --platform qemu --engine $engine"
  run --arch "$arch" --platform qemu --engine "$engine" --no-cache --quiet -o "/cache/$engine.qcow2"
done
say "In it: serve"
# A process of this host as any other: it is stopped by the number that it has left.
serve='echo $$ >/cache/serve.pid && exec iso-rehydrate serve --engine native --listen 127.0.0.1:18080 --quiet'
b run --isolation chroot "$container" -- sh -c "$serve" &
location=$(curl -sf --retry 30 --retry-connrefused --retry-delay 1 http://127.0.0.1:18080/stream.json |
  node -p 'JSON.parse(require("fs").readFileSync(0)).architectures[process.argv[1]].artifacts.qemu.formats["qcow2.xz"].disk.location' "$arch")
curl -sf "$location" | sha256sum
b run --isolation chroot "$container" -- sh -c 'kill -INT "$(cat /cache/serve.pid)"'
wait || true
say "Done"
