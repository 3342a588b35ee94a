#!/bin/bash
# Makes the golden ISOs in this folder that do not come from coreos-installer (for the others, see fetch.sh).
# Needs xorriso, mksquashfs, cpio, zstd, and ../osmet. The 4.5 GiB ISO is temporary.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export SOURCE_DATE_EPOCH=1700000000

# A complete live ISO in miniature: its kernel is a boot sector with the x86 magic.
mkdir -p live/images/pxeboot live/coreos live/EFI/fedora rootfs/etc tree/usr
echo "a golden file" > tree/usr/file
mksquashfs tree rootfs/root.squashfs -comp zstd -quiet -no-progress -all-root > /dev/null
echo 1.2.3 > rootfs/etc/coreos-live-rootfs
cp "$here"/../osmet/*.osmet rootfs
(cd rootfs && printf '%s\n' root.squashfs etc etc/coreos-live-rootfs *.osmet |
  cpio -o -H newc --quiet --reproducible -R 0:0) > live/images/pxeboot/rootfs.img
head -c 8192 /dev/zero > live/images/pxeboot/vmlinuz
printf HdrS | dd of=live/images/pxeboot/vmlinuz bs=1 seek=514 conv=notrunc status=none
head -c 8192 /dev/zero > live/images/pxeboot/initrd.img
head -c 262144 /dev/zero > live/images/ignition.img
kargs='mitigations=auto coreos.liveiso=golden-1.2.3 ignition.firstboot ignition.platform.id=metal'
area=$(printf '%s\n' "$kargs"; head -c $((1000 - ${#kargs} - 1)) < /dev/zero | tr '\0' '#')
head='menuentry Golden {
	linux /images/pxeboot/vmlinuz '
printf '%s%s\n\tinitrd /images/pxeboot/initrd.img\n}\n' "$head" "$area" > live/EFI/fedora/grub.cfg
cat > live/coreos/kargs.json <<JSON
{"default": "$kargs",
 "files": [{"path": "EFI/fedora/grub.cfg", "offset": ${#head}}], "size": 1000}
JSON
echo '{"file": "images/ignition.img"}' > live/coreos/igninfo.json
echo '{"installer-config": true, "installer-config-directives": {"offline": true, "x": false}}' \
  > live/coreos/features.json
xorriso -as mkisofs -quiet -R -V golden-1.2.3 -o live.iso live

# Rock Ridge: names that need continuation areas, a relocated deep directory, a symbolic link.
mkdir -p rock/a/b/c/d/e/f/g/h/i/j
echo deep > rock/a/b/c/d/e/f/g/h/i/j/deep.txt
long=$(head -c 240 < /dev/zero | tr '\0' 'n')
echo long > "rock/$long.txt"
echo CaSe > rock/CaSe.txt
ln -s CaSe.txt rock/link
xorriso -compliance deep_paths_off -outdev rock.iso -volid ROCK -map rock / 2> /dev/null
# The same without Rock Ridge.
xorriso -as mkisofs -quiet -iso-level 1 --norock -V PLAIN -o plain.iso live

# A file of more than 4 GiB has several extents. Only the head of that ISO is kept.
truncate -s 4500M huge && printf end >> huge
xorriso -as mkisofs -quiet -R -iso-level 3 -V HUGE -o huge.iso huge
stat -c %s huge.iso > "$here/huge.size"
head -c 131072 huge.iso > huge.head
rm huge.iso

for file in live.iso rock.iso plain.iso huge.head; do
  zstd -q -19 -f "$file" -o "$here/$file.zst"
done
