#!/bin/bash
# Makes small root images, and lists with the SHA-256 of every file in them.
# Needs mksquashfs 4.5 and zstd; erofs.sh makes the erofs ones.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
. "$here/tree.sh"
make_tree tree
make_many many
make_objects objects tree
(cd tree && find . -type f | sort | xargs sha256sum) >"$here/tree.sha256"

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
