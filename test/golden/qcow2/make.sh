#!/bin/bash
# Makes the golden qcow2 files in this folder with two releases of the real qemu-img: QEMU_IMG_7_2 names the
# one in Debian 12 (apt-get download qemu-utils=1:7.2…, dpkg -x), QEMU_IMG_10_0 the one in its backports.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
. "$here/../disk.sh"

make() { # RELEASE NAME OPTIONS...: their digests tell which releases agree; the file is kept once
  local program=QEMU_IMG_${1/./_} release=$1 name=$2
  shift 2
  "${!program}" convert -f raw -O qcow2 "$@" raw image
  echo "$(sha256sum <image | cut -d' ' -f1)  $name $release" >>digests
  zstd -q -f -19 image -o "$here/$name.qcow2.zst"
}

# A size that is not a multiple of the cluster size.
miniature raw $((12 * 1048576 + 1536))
for release in 7.2 10.0; do
  make $release plain -o compat=1.1
  make $release compressed -c -o compat=1.1
  make $release version-2 -o compat=0.10
  make $release small-clusters -c -o cluster_size=4096
done
echo "$(sha256sum <raw | cut -d' ' -f1)  disk" >>digests
mv digests "$here/digests.txt"
cat "$here/digests.txt"
ls -l "$here"
