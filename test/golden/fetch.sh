#!/bin/bash
# Repacks the trimmed real CoreOS ISOs and initrds of coreos-installer's published crate
# (Apache-2.0, Copyright Red Hat and contributors) as zstd, which Node can read.
# ./fetch.sh CRATE_DIR, with CRATE_DIR the unpacked crate coreos-installer 0.26.0
# (`cargo install coreos-installer --version 0.26.0` leaves it in cargo's registry/src).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
crate=${1:?usage: fetch.sh CRATE_DIR}
cp "$crate/fixtures/iso/INDEX" "$here/iso/INDEX"
for path in "$crate"/fixtures/iso/*.iso.xz; do
  name=$(basename "$path" .xz)
  xz -dc < "$path" | zstd -q -19 -f -o "$here/iso/$name.zst"
done
for path in "$crate"/fixtures/initrd/*.img*; do
  name=$(basename "$path" .xz)
  xz -dc < "$path" | zstd -q -19 -f -o "$here/initrd/$name.zst"
done
