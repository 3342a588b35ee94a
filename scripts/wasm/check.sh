#!/usr/bin/env bash
# Builds every committed .wasm file again, from its pinned source, and compares it with cmp. The release job runs this
# (.github/workflows/release.yml). Needs what make.sh, go.sh, xz.sh and squashfs.sh need.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for part in make xz squashfs go; do
  mkdir -p "$work/$part"
  bash "scripts/wasm/$part.sh" "$work/$part" >&2
done
status=0
# A compressor's output is not pinned, so compressed modules are compared unpacked.
plain() { case $1 in *.zst) zstd -dcq -- "$1" ;; *) cat -- "$1" ;; esac; }
for committed in $(git ls-files 'src/*.wasm' 'src/*.wasm.zst'); do
  made=$(find "$work" -name "${committed##*/}")
  if [ -n "$made" ] && cmp <(plain "$committed") <(plain "$made"); then
    echo "same: $committed"
  else
    echo "DIFFERENT: $committed"
    status=4
  fi
done
exit "$status"
