#!/bin/bash
# Makes the golden VMDKs in this folder with the real qemu-img (here 10.0.2; QEMU_IMG_7_2 names one of
# Debian 12, for its own file). For those of zlib-ng,
# ZLIB_NG names a folder with VERSION/libz.so.1, each built by
# cmake -DZLIB_COMPAT=ON: what qemu-img is linked with on Fedora 40 and later.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

. "$here/../disk.sh"

convert() { # NAME OPTIONS
  "${3:-qemu-img}" convert -f raw -O vmdk -o "$2" raw "$1.vmdk"
  zstd -q -f -19 "$1.vmdk" -o "$here/$1.vmdk.zst"
}
stream=subformat=streamOptimized

# A miniature disk: data at both ends, holes, an isolated sector, an incompressible grain.
truncate -s 40M raw
text 1 9000 | put raw 0
noise 1 70000 | put raw 3145728
text 5 40 | put raw 20971520
printf x | put raw 30000000
text 7000 9000 | put raw 41900000
convert aws "adapter_type=lsilogic,$stream,compat6"
convert virtualbox "$stream"
[ -z "${QEMU_IMG_7_2:-}" ] || convert qemu-7.2 "adapter_type=lsilogic,$stream,compat6" "$QEMU_IMG_7_2"

# The same grains in a disk whose size is not a multiple of a grain, with its last sectors in use.
truncate -s $((1048576 + 3 * 512)) raw
text 1 200 | head -c 1536 | put raw 1048576
convert odd "$stream,compat6"

rm raw && truncate -s 8M raw
convert empty "$stream,compat6"

rm raw && noise 2 100000 >raw && truncate -s 256K raw
convert noise "$stream,compat6"

# Two grains (text, machine code) that these releases deflate differently, as few grains do, taken from
# the golden files themselves.
if [ -n "${ZLIB_NG:-}" ]; then
  zstd -q -dc "$here/zlib-ng-2.2.4.vmdk.zst" >sample.vmdk
  qemu-img convert -O raw sample.vmdk raw
  for version in 2.1.6 2.2.4 2.2.5 2.3.3; do
    LD_PRELOAD=$ZLIB_NG/$version/libz.so.1 convert "zlib-ng-$version" "$stream,compat6"
  done
fi

ls -l "$here"
