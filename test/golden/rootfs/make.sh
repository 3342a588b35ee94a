#!/bin/bash
# Makes small root images, and lists of the SHA-256 of every file in them.
# Needs mksquashfs 4.5 and zstd; erofs.sh makes the erofs ones.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
. "$here/tree.sh"
make_tree tree
make_many many
make_tiny tiny
make_objects objects tree
for dir in tree tiny; do (cd "$dir" && find . -type f | sort | xargs sha256sum) >"$here/$dir.sha256"; done

keep() { # NAME TREE OPTIONS...
  local name=$1 tree=$2
  shift 2
  mksquashfs "$tree" "$name" "$@" -all-root -mkfs-time 0 -all-time 0 -quiet -no-progress >/dev/null
  zstd -q -19 -f -o "$here/$name.zst" "$name"
}
for comp in gzip xz lz4 zstd; do
  keep "squashfs-$comp" tree -comp "$comp" -b 65536
done
keep squashfs-small-blocks tree -comp zstd -b 4096
keep squashfs-no-fragments tree -comp zstd -no-fragments
keep squashfs-always-fragments tree -comp gzip -always-use-fragments
keep squashfs-stored tree -noI -noD -noF -b 65536
keep squashfs-many many -comp zstd -b 4096
keep squashfs-objects objects -comp zstd -b 65536
# Without -noI, mutations rarely get past the decompressor of the tables.
for comp in gzip xz lz4 zstd; do
  keep "tiny-squashfs-$comp" tiny -comp "$comp" -b 4096
  keep "tiny-squashfs-$comp-noI" tiny -comp "$comp" -b 4096 -noI
done
