#!/usr/bin/env bash
# Makes src/codec/deflate/wasm/*.wasm: pinned deflaters as WebAssembly, from the sources that the
# crates libz-sys and libz-ng-sys carry. Needs cargo, and clang 14, lld 14 and wasi-libc of Debian 12,
# which make the files byte for byte as committed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../src/codec/deflate/wasm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

# compile NAME FLAGS... SOURCES...: one module with the exports of deflate.c; $driver.c is its source.
compile() {
  local name=$1
  shift
  clang --target=wasm32-wasi -Wno-unused-command-line-argument -O3 -mbulk-memory -mexec-model=reactor \
    -ffile-prefix-map="$work"=. -fvisibility=hidden -ffunction-sections -fdata-sections \
    -Wl,--gc-sections -Wl,--strip-all -Wl,-z,stack-size=65536 -nodefaultlibs -lc \
    "$@" "$here/${driver-deflate}.c" -o "$out/$name.wasm"
}

zlib() { # NAME
  local src=$work/libz-sys-$2/src/zlib
  # Z_SOLO: no allocator and no gz* files of its own. UNALIGNED_OK and LIT_MEM are upstream's own options that
  # trade memory for speed.
  compile "$1" -DZ_SOLO -DUNALIGNED_OK -DLIT_MEM -DWITH_INFLATE -I"$src" \
    "$src"/{adler32,crc32,deflate,trees,zutil,inflate,inftrees,inffast}.c
}

zlib_ng() { # NAME CRATE_VERSION FLAGS_AND_SOURCES...
  local name=$1 src=$work/libz-ng-sys-$2/src/zlib-ng
  shift 2
  local header generated=$work/include-$name
  mkdir -p "$generated"
  for header in zlib zconf; do
    sed 's/@ZLIB_SYMBOL_PREFIX@//' "$src/$header.h.in" >"$generated/$header.h"
  done
  cp "$src/zlib_name_mangling.h.empty" "$generated/zlib_name_mangling.h"
  local sources=("$src"/{adler32,crc32,crc32_braid_comb,functable,insert_string_roll,trees,zutil}.c
    "$src"/{deflate,deflate_fast,deflate_huff,deflate_medium,deflate_quick,deflate_rle,deflate_slow,deflate_stored}.c
    "$src"/{adler32_fold,chunkset,compare256,crc32_braid,crc32_fold,slide_hash}.c "$src"/arch/generic/*.c)
  local present=() file
  # Releases differ in where the portable variants live.
  for file in "${sources[@]}"; do [ ! -e "$file" ] || present+=("$file"); done
  # ZLIB_COMPAT is how Fedora builds it; all optimisations of one architecture are off.
  compile "$name" -std=c11 -DZLIB_COMPAT -DDISABLE_RUNTIME_CPU_DETECTION -DHAVE_BUILTIN_CTZ -DHAVE_BUILTIN_CTZLL \
    -DHAVE_ALIGNED_ALLOC -DHAVE_POSIX_MEMALIGN -D_POSIX_C_SOURCE=200112L \
    -DHAVE_ATTRIBUTE_ALIGNED -DHAVE_VISIBILITY_HIDDEN -I"$generated" -I"$src" "${@/SRC/$src}" "${present[@]}"
}

. "$here/sources.sh"

zlib zlib-1.3.2 1.1.31
cp -r "$work/libz-sys-1.1.31" "$work/libz-sys-gzip"
patch --quiet -d "$work/libz-sys-gzip/src/zlib" -p1 <"$here/gzip.patch"
zlib gzip gzip
driver=pigz zlib pigz 1.1.31
old=("$here/insert_string_crc32.c" SRC/cpu_features.c -DUNALIGNED_OK -DUNALIGNED64_OK)
zlib_ng zlib-ng-2.1.6-x86_64 1.1.16 "${old[@]}" -DHASH_POLYNOMIAL=0x82f63b78u
zlib_ng zlib-ng-2.1.6-aarch64 1.1.16 "${old[@]}" -DHASH_POLYNOMIAL=0xedb88320u
zlib_ng zlib-ng-2.2.4 1.1.22 SRC/insert_string.c
zlib_ng zlib-ng-2.2.5 1.1.23 SRC/insert_string.c
zlib_ng zlib-ng-2.3.3 1.1.32 SRC/insert_string.c

(cd "$out" && chmod 644 ./*.wasm && sha256sum ./*.wasm | sed 's,\./,,' >SHA256SUMS && cat SHA256SUMS && ls -l)
