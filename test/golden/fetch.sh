#!/bin/bash
# Repacks the trimmed real CoreOS ISOs and initrds of coreos-installer's published crate
# (Apache-2.0, Copyright Red Hat and contributors) as zstd, which Node reads by itself.
# ./fetch.sh CRATE_DIR, with CRATE_DIR the unpacked crate coreos-installer 0.26.0
# (`cargo install coreos-installer --version 0.26.0` leaves it in cargo's registry/src).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
crate=${1:?usage: fetch.sh CRATE_DIR}
for name in 2020-09 2021-01 2021-09 2023-07.x86_64 2023-07.s390x; do
  xz -dc "$crate/fixtures/iso/embed-areas-$name.iso.xz" |
    zstd -q -19 -f -o "$here/iso/embed-areas-$name.iso.zst"
done
xz -dc "$crate/fixtures/iso/synthetic.iso.xz" | zstd -q -19 -f -o "$here/iso/synthetic.iso.zst"
for path in "$crate"/fixtures/initrd/*.img*; do
  name=$(basename "$path" .xz)
  xz -dc < "$path" | zstd -q -19 -f -o "$here/initrd/$name.zst"
done
