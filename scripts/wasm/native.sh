#!/usr/bin/env bash
# Writes src/codec/deflate/native-digests.txt: what native builds of the same sources, with all
# their SIMD, make of the zlib-ng golden files' contents: the proof that the modules do the same. Needs
# cmake, gcc and, for AArch64, gcc-aarch64-linux-gnu and qemu-user-static.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
zstd -q -dc "$here/../../test/golden/vmdk/zlib-ng-2.2.4.vmdk.zst" >"$work/sample.vmdk"
qemu-img convert -O raw "$work/sample.vmdk" "$work/sample"
for level in 0 1 2 3 4 5 6 7 8 9; do echo "$level 15 8 0"; echo "$level -15 9 0"; done >"$work/params"
printf '%s\n' '6 31 8 0' '6 12 5 0' '6 15 8 1' '6 15 8 2' '6 15 8 3' '6 15 8 4' '9 9 1 0' >>"$work/params"

digests() { # NAME RUNNER...: of what $work/native makes
  local name=$1
  shift
  rm -rf "$work/out" && mkdir "$work/out"
  "$@" "$work/native" "$work/sample" "$work/out" <"$work/params"
  (cd "$work/out" && sha256sum -- *) | sed "s/^/$name /"
}

zlib_ng() { # NAME CRATE_VERSION TRIPLET PROCESSOR RUNNER...
  local name=$1 src=$work/libz-ng-sys-$2/src/zlib-ng triplet=$3 processor=$4
  shift 4
  # The crates leave out files for Windows, but cmake insists on them.
  mkdir -p "$src/win32" && touch "$src/README.md" "$src/zlib.map.in" "$src"/win32/zlib{1.rc,compat.def}
  cmake -S "$src" -B "$work/$name" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$processor" \
    -DCMAKE_C_COMPILER="$triplet-gcc" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DZLIB_COMPAT=ON \
    -DZLIB_ENABLE_TESTS=OFF -DBUILD_TESTING=OFF -DWITH_GTEST=OFF >"$work/$name.log"
  make -C "$work/$name" >>"$work/$name.log"
  "$triplet-gcc" -static -O2 -DZLIB_COMPAT -I"$work/$name" "$here/native.c" "$work/$name/libz.a" -o "$work/native"
  digests "$name" "$@"
}

. "$here/sources.sh"
{
  src=$work/libz-sys-1.1.31/src/zlib
  gcc -O2 -I"$src" "$here/native.c" "$src"/{adler32,crc32,deflate,trees,zutil}.c -o "$work/native"
  digests zlib-1.3.2
  zlib_ng zlib-ng-2.1.6-x86_64 1.1.16 x86_64-linux-gnu x86_64
  zlib_ng zlib-ng-2.1.6-aarch64 1.1.16 aarch64-linux-gnu aarch64 qemu-aarch64-static
  zlib_ng zlib-ng-2.2.4 1.1.22 x86_64-linux-gnu x86_64
  zlib_ng zlib-ng-2.2.5 1.1.23 x86_64-linux-gnu x86_64
  zlib_ng zlib-ng-2.3.3 1.1.32 x86_64-linux-gnu x86_64
} >"$here/../../src/codec/deflate/native-digests.txt"
