#!/bin/bash
# Makes the golden files in this folder with the real skopeo 1.9.3 and umoci 0.4.7 of Debian 12, and with
# Go 1.26 programs (gzip.go), compiled for the host's processor.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
. "$here/../disk.sh"

keep() { zstd -q -f -19 "$1" -o "$here/$1.zst"; }

# More than one block of pgzip, with a qcow2 inside.
miniature raw 12582912
mkdir -p tree/disk
qemu-img convert -f raw -O qcow2 -o compat=1.1 raw tree/disk/disk.qcow2
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf layer -C tree disk

blob() { # FILE: moves it into the layout, prints its descriptor's end
  local digest
  digest=$(sha256sum <"$1" | cut -d' ' -f1)
  printf '"digest":"sha256:%s","size":%s}' "$digest" "$(stat -c %s "$1")"
  mv "$1" "layout/blobs/sha256/$digest"
}
type='"mediaType":"application/vnd.oci.image'
mkdir -p layout/blobs/sha256
diff_id=$(sha256sum <layer | cut -d' ' -f1)
cp layer copy
layer=$(blob copy)
printf '{"created":"2025-01-01T00:00:00Z","architecture":"s390x","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$diff_id" >config
config=$(blob config)
printf '{"schemaVersion":2,%s.manifest.v1+json","config":{%s.config.v1+json",%s,"layers":[{%s.layer.v1.tar",%s]}' "$type" "$type" "$config" "$type" "$layer" >manifest
printf '{"schemaVersion":2,"manifests":[{%s.manifest.v1+json",%s]}' "$type" "$(blob manifest)" >layout/index.json
echo '{"imageLayoutVersion":"1.0.0"}' >layout/oci-layout
skopeo --insecure-policy copy oci:layout oci-archive:skopeo.ociarchive >/dev/null
keep skopeo.ociarchive

umoci init --layout umoci
umoci new --image umoci:disk
umoci unpack --rootless --image umoci:disk unpacked
cp -r tree/disk unpacked/rootfs/
umoci repack --image umoci:disk unpacked
tar --sort=name -cf umoci.ociarchive -C umoci blobs index.json oci-layout
keep umoci.ociarchive

sha256sum <layer | cut -d' ' -f1 >"$here/layer.sha256"
for release in 1.17.11 1.18.6; do
  mkdir "go-$release"
  cp "$here/gzip.go" "go-$release/"
  (
    cd "go-$release"
    go mod init gzip
    go get "github.com/klauspost/compress@v$release" github.com/klauspost/pgzip@v1.2.6
    go build -o ../program .
  )
  ./program pgzip <layer >"klauspost-$release.gz"
  keep "klauspost-$release.gz"
done
./program go <layer >go-1.26.gz
keep go-1.26.gz
ls -l "$here"
