#!/usr/bin/env bash
# The main job from nothing, on a bare Debian machine (root or sudo): sets up what is missing, builds
# a small CoreOS-like release, dehydrates it, boots its ISO to rehydrate images, compares SHA-256s.
#
#   scripts/quickstart.sh [PLATFORM[,PLATFORM…]]     default: qemu,aws
#
# Leaves the release in .work/fixture, bundle and images in .work/quickstart, and the command
# iso-rehydrate in ${PREFIX:-/usr/local}/bin.
set -euo pipefail
cd "$(dirname "$0")/.."
platforms=${1:-qemu,aws}
bash scripts/setup.sh --quickstart
. scripts/setup.sh --env
set -euo pipefail
say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; "$@"; }
PATH=${PREFIX:-/usr/local}/bin:$PATH # the command that setup.sh has just put there

release=$PWD/.work/fixture/x86_64
work=$PWD/.work/quickstart
rm -rf "$work" && mkdir -p "$work/images"
npm run --silent fixture -- --arch x86_64 --out "$release"

say iso-rehydrate dehydrate --stream "$release/stream.json" --artifacts "$release" -o "$work/bundle"
# --no-cache: what dehydrate has regenerated is not reused, the ISO is really booted again.
say iso-rehydrate --arch x86_64 --platform "$platforms" --bundle "$work/bundle" -o "$work/images/" --no-cache

printf '\nWhat the release promises against what sha256sum reads:\n'
status=0
for image in "$work"/images/*; do
  name=$(basename "$image")
  promised=$(node -e '
    const { readFileSync } = require("node:fs");
    const [stream, wanted] = process.argv.slice(1);
    const visit = (node) => {
      if (node === null || typeof node !== "object") return;
      if (typeof node.location === "string") {
        const name = node.location.split("/").pop().replace(/\.(xz|gz|zst)$/, "");
        if (name === wanted) console.log(node["uncompressed-sha256"] ?? node.sha256);
      }
      Object.values(node).forEach(visit);
    };
    visit(JSON.parse(readFileSync(stream, "utf8")));' "$release/stream.json" "$name")
  actual=$(sha256sum <"$image" | cut -d' ' -f1)
  verdict=same
  [ "$promised" = "$actual" ] || { verdict=DIFFERENT status=4; }
  printf '%s\n  promised %s\n  actual   %s  %s\n' "$name" "$promised" "$actual" "$verdict"
done
exit "$status"
