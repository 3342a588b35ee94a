#!/bin/bash
# Packs one disk with several releases of coreos-installer: a GPT with an ext4 boot and an XFS root that
# holds a real OSTree deployment. Writes one osmet per release, the disk's SHA-256, and the root file system as
# a squashfs. Run as root, with ostree, xfsprogs and squashfs-tools:
#   ./releases.sh COREOS_INSTALLER...
# coreos-installer 0.8.0 (2021) is the first release of the crate that packs osmets in today's version:
#   cargo install coreos-installer --version 0.8.0 --root DIR
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
loop=
cleanup() {
  for dir in sysroot/boot sysroot; do mountpoint -q "$work/$dir" && umount "$work/$dir"; done
  [ -n "$loop" ] && { partx -d "$loop" || true; losetup -d "$loop"; }
  rm -rf "$work"
}
trap cleanup EXIT
sysroot=$work/sysroot tree=$work/tree repo=$work/sysroot/ostree/repo
mkdir -p "$sysroot" "$tree"/usr/{bin,lib/modules/5.0.0,etc}

# A tree that ostree can deploy, with files of about the sizes of blocks.
printf 'NAME="Golden CoreOS"\nVERSION_ID=1.2.3\nID=golden\n' >"$tree/usr/lib/os-release"
head -c 150000 <(seq 100000) >"$tree/usr/lib/modules/5.0.0/vmlinuz"
head -c 60000 <(seq 3 30000) >"$tree/usr/lib/modules/5.0.0/initramfs.img"
for size in 1 4095 4096 4097 65537; do
  head -c "$size" <(seq "$size" 200000) >"$tree/usr/bin/file-$size"
done
openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c 20000 >"$tree/usr/bin/noise" || true
ln -s noise "$tree/usr/bin/link"
ostree --repo="$work/repo" init --mode=bare
ostree --repo="$work/repo" commit --branch=golden --tree=dir="$tree" --owner-uid=0 --owner-gid=0 --timestamp=@1700000000 >/dev/null

# 300 MiB is the smallest file system that mkfs.xfs makes.
truncate -s 324M "$work/disk"
attach() {
  loop=$(losetup --show -f "$@" "$work/disk")
  partx -a "$loop" 2>/dev/null || partx -u "$loop"
}
detach() {
  partx -d "$loop"
  losetup -d "$loop"
  loop=
}
sfdisk -q "$work/disk" <<PARTITIONS
label: gpt
label-id: 00000000-0000-4000-a000-000000000001
start=2048, size=40960, name=boot, uuid=00000000-0000-4000-a000-000000000002
start=43008, size=616448, name=root, uuid=00000000-0000-4000-a000-000000000003
PARTITIONS
attach
mkfs.ext4 -q -b 4096 -L boot -U 96d15588-3596-4b3c-adca-a2ff7279ea63 -E root_owner=0:0 "${loop}p1"
mkfs.xfs -q -L root -m uuid=910678ff-f77e-4a7d-8d53-86f2ac47a823 "${loop}p2"
mount -o nouuid "${loop}p2" "$sysroot"
ostree admin init-fs --modern "$sysroot"
mount "${loop}p1" "$sysroot/boot"
ostree config --repo="$repo" set sysroot.bootloader none
ostree admin os-init --sysroot="$sysroot" golden
ostree pull-local --repo="$repo" "$work/repo" golden >/dev/null
ostree admin deploy --sysroot="$sysroot" --os=golden --karg=root=LABEL=root golden >/dev/null
umount "$sysroot/boot"
umount "$sysroot"
# The disk and its partitions each have a page cache of their own.
detach
attach --read-only
sum=$(sha256sum <"$work/disk" | cut -d' ' -f1)
echo "$sum" >"$here/releases.sha256"

# Old releases ask lsblk for labels, which come from udev, and a container has no udev.
mkdir "$work/bin"
cat >"$work/bin/lsblk" <<'LSBLK'
#!/bin/bash
/usr/bin/lsblk "$@" | while read -r line; do
  device=$(sed 's/NAME="\([^"]*\)".*/\1/' <<<"$line")
  for key in LABEL UUID; do
    value=$(blkid -p -s "$key" -o value "$device" || true)
    line=${line/ $key=\"\"/ $key=\"$value\"}
  done
  type=$(blkid -p -s TYPE -o value "$device" || true)
  echo "${line/FSTYPE=\"\"/FSTYPE=\"$type\"}"
done
LSBLK
chmod +x "$work/bin/lsblk"

for installer in "$@"; do
  version=$("$installer" --version | cut -d' ' -f2)
  # Not --fast: xz level 9, as released.
  pack=(pack osmet)
  "$installer" pack osmet --help >/dev/null 2>&1 || pack=(osmet pack)
  rm -f "$here/release-$version.osmet"
  PATH=$work/bin:$PATH "$installer" "${pack[@]}" "$loop" --description "Golden CoreOS 1.2.3" --checksum "$sum" \
    --output "$here/release-$version.osmet"
done

mount -o ro,norecovery,nouuid "${loop}p2" "$sysroot"
mksquashfs "$sysroot" "$work/releases.squashfs" -quiet -no-progress -comp zstd >/dev/null
umount "$sysroot"
zstd -q -19 -f -o "$here/releases.squashfs.zst" "$work/releases.squashfs"
