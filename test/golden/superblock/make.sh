#!/bin/bash
# Makes small root images and keeps their first 1152 bytes. Needs mksquashfs, mkfs.erofs 1.5 or newer, zstd.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir tree
for i in 1 2 3; do head -c 30000 <(yes "$i") > "tree/$i"; done

keep() { # NAME
  head -c 1152 "$1" | zstd -q -19 -f -o "$here/$1.zst"
}
for comp in gzip xz lz4 zstd; do
  mksquashfs tree "squashfs-$comp" -comp "$comp" -b 262144 -quiet -no-progress > /dev/null
  keep "squashfs-$comp"
done
mkfs.erofs erofs-plain tree > /dev/null 2>&1 && keep erofs-plain
mkfs.erofs -zlz4hc erofs-lz4 tree > /dev/null 2>&1 && keep erofs-lz4
mkfs.erofs -zlz4hc -C65536 erofs-lz4-big tree > /dev/null 2>&1 && keep erofs-lz4-big
