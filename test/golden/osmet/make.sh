#!/bin/bash
# Makes the golden osmets in this folder with the real coreos-installer, from a small disk with a boot
# and a root partition, whose ostree/repo/objects holds a handful of objects.
# As root: COREOS_INSTALLER=path/to/coreos-installer ./make.sh
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
installer=${COREOS_INSTALLER:-coreos-installer}
work=$(mktemp -d)
loop=
cleanup() {
  mountpoint -q "$work/mnt" && umount "$work/mnt"
  [ -n "$loop" ] && { partx -d "$loop" || true; losetup -d "$loop"; }
  rm -rf "$work"
}
trap cleanup EXIT
mkdir "$work/mnt"

make_osmet() { # SECTOR_SIZE NAME
  local sector=$1 name=$2 mib=$((1048576 / $1))
  truncate -s 16M "$work/disk"
  loop=$(losetup --show -f --sector-size "$sector" "$work/disk")
  sfdisk -q --no-reread --no-tell-kernel "$loop" <<PARTITIONS
label: gpt
label-id: 00000000-0000-4000-a000-000000000001
start=$mib, size=$((4 * mib)), name=boot, uuid=00000000-0000-4000-a000-000000000002
start=$((5 * mib)), size=$((10 * mib)), name=root, uuid=00000000-0000-4000-a000-000000000003
PARTITIONS
  partx -a "$loop" 2>/dev/null || partx -u "$loop"
  for part in 1:boot 2:root; do
    mkfs.ext4 -q -b 4096 -O ^has_journal,^metadata_csum -L "${part#*:}" \
      -U "00000000-0000-4000-a000-00000000001${part%:*}" -E root_owner=0:0,lazy_itable_init=0 \
      "${loop}p${part%:*}"
  done
  mount "${loop}p2" "$work/mnt"
  objects=$work/mnt/ostree/repo/objects
  # Sizes around the block size.
  for size in 5000 4096 100000 65537; do
    head -c "$size" <(seq "$size") > "$work/object"
    put_object
  done
  umount "$work/mnt"
  mount "${loop}p1" "$work/mnt"
  head -c 100000 <(seq 100000) > "$work/mnt/vmlinuz" # the same bytes as an object: mapped too
  umount "$work/mnt"
  local sum
  sum=$(sha256sum < "$loop" | cut -d' ' -f1)
  "$installer" pack osmet "$loop" --description "Golden CoreOS 1.2.3" --checksum "$sum" \
    --output "$work/$name" > "$work/log" 2>&1 || { cat "$work/log" >&2; return 1; }
  cat "$work/log"
  cp "$work/$name" "$here/$name"
  partx -d "$loop"; losetup -d "$loop"; loop=
  rm "$work/disk"
}

put_object() {
  local sum dir
  sum=$(sha256sum < "$work/object" | cut -d' ' -f1)
  dir=$objects/${sum:0:2}
  mkdir -p "$dir"
  cp "$work/object" "$dir/${sum:2}.file"
}

make_osmet 512 golden-metal.x86_64.osmet
make_osmet 4096 golden-metal4k.x86_64.osmet
