#!/bin/bash
# Makes small erofs images of the trees in tree.sh. Needs zstd, and mkfs.erofs 1.8 or newer (Debian 13)
# at $MKFS_EROFS; "chroot DIR mkfs.erofs" works too, if DIR/tmp is writable.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
read -ra mkfs <<<"${MKFS_EROFS:-mkfs.erofs}"
root=
[ "${mkfs[0]}" != chroot ] || root=${mkfs[1]}
work=$(mktemp -d "$root/tmp/erofs.XXXXXX")
trap 'rm -rf "$work"' EXIT
. "$here/tree.sh"
make_tree "$work/tree"
make_objects "$work/objects" "$work/tree"
make_tiny "$work/tiny"

keep() { # NAME TREE OPTIONS...
  local name=$1 tree=$2
  shift 2
  "${mkfs[@]}" --quiet -T0 --all-root -U00000000-0000-0000-0000-000000000001 "$@" \
    "${work#"$root"}/$name" "${work#"$root"}/$tree"
  zstd -q -19 -f -o "$here/$name.zst" "$work/$name"
}
keep erofs-plain tree
keep erofs-chunks tree --chunksize=65536
keep erofs-lz4 tree -zlz4hc
keep erofs-lz4-big tree -zlz4hc -C65536
keep erofs-lz4-full-index tree -zlz4hc -C65536 -Elegacy-compress
keep erofs-lz4-tails tree -zlz4hc -Eztailpacking
keep erofs-zstd tree -zzstd,level=6 -C65536
keep erofs-zstd-fragments tree -zzstd,level=6 -Eall-fragments -C131072
keep erofs-zstd-dedupe tree -zzstd,level=6 -Efragments,dedupe -C65536
keep erofs-deflate tree -zdeflate,level=9 -C65536
keep erofs-deflate-tails tree -zdeflate,level=9 -Eztailpacking,fragments -C65536
keep erofs-lzma tree -zlzma,level=6 -C65536
# With the options of Fedora CoreOS's live ISOs: since November 2025, and before.
keep erofs-fcos tree -zlzma,level=6 -Efragments -C1048576
keep erofs-fcos-42 tree -zlzma,level=6 -Eall-fragments,fragdedupe=inode -C1048576
keep erofs-objects objects -zzstd,level=6 -C65536 -Efragments
keep tiny-erofs-plain tiny
keep tiny-erofs-chunks tiny --chunksize=4096
keep tiny-erofs-lz4 tiny -zlz4hc -Eztailpacking
keep tiny-erofs-lzma tiny -zlzma,level=6 -Efragments -C1048576
keep tiny-erofs-deflate tiny -zdeflate,level=9 -Elegacy-compress
keep tiny-erofs-zstd tiny -zzstd,level=6 -Efragments,dedupe -C16384
