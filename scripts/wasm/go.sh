#!/usr/bin/env bash
# Makes src/codec/deflate/wasm/klauspost-*.wasm.zst: Go's deflaters as WebAssembly, each with one release of
# klauspost/compress and Go's own library. Needs Go 1.26.8, which makes the modules byte for byte as
# committed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../src/codec/deflate/wasm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GOTOOLCHAIN=local GOFLAGS=-mod=readonly GOOS=wasip1 GOARCH=wasm
go version | grep -q 'go1\.26\.8 ' || { echo "this is not Go 1.26.8" >&2; exit 1; }

for release in 1.17.11 1.18.6; do
  project=$work/$release
  cp -r "$here/go" "$project"
  printf 'module deflate\n\ngo 1.26\n\nrequire github.com/klauspost/compress v%s\n' "$release" >"$project/go.mod"
  (cd "$project" && go build -buildmode=c-shared -buildvcs=false -trimpath -ldflags='-s -w -buildid=' \
    -o "$work/klauspost-$release.wasm" .)
  zstd -q -f -19 "$work/klauspost-$release.wasm" -o "$out/klauspost-$release.wasm.zst"
done
(cd "$work" && sha256sum ./*.wasm | sed 's,\./,,' >"$out/SHA256SUMS.go" && cat "$out/SHA256SUMS.go" && ls -l "$out"/*.zst)
