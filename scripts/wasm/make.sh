#!/usr/bin/env bash
# Makes src/codec/deflate/wasm/*.wasm: pinned deflaters as WebAssembly, from the sources that the
# crates libz-sys and libz-ng-sys carry. Needs cargo, clang 14, lld 14 and wasi-libc, as Debian 12
# ships them: then the files come out byte for byte as committed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../src/codec/deflate/wasm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

# fetch CRATE VERSION SHA256: unpacks a crate; cargo and we both check its hash.
fetch() {
  local project=$work/fetch-$1-$2
  mkdir -p "$project"
  printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "lib.rs"\n[dependencies]\n%s = "=%s"\n' \
    "$1" "$2" >"$project/Cargo.toml"
  touch "$project/lib.rs"
  (cd "$project" && cargo --quiet fetch)
  local crate
  crate=$(find "${CARGO_HOME:-$HOME/.cargo}/registry/cache" -name "$1-$2.crate" | head -1)
  echo "$3  $crate" | sha256sum --check --quiet
  tar -xzf "$crate" -C "$work"
}

# compile NAME FLAGS... SOURCES...: one module with the exports of deflate.c.
compile() {
  local name=$1
  shift
  clang --target=wasm32-wasi -Wno-unused-command-line-argument -O3 -mbulk-memory -mexec-model=reactor \
    -ffile-prefix-map="$work"=. -fvisibility=hidden -ffunction-sections -fdata-sections \
    -Wl,--gc-sections -Wl,--strip-all -Wl,-z,stack-size=65536 -nodefaultlibs -lc \
    "$@" "$here/deflate.c" -o "$out/$name.wasm"
}

zlib() { # NAME
  local src=$work/libz-sys-$2/src/zlib
  # Z_SOLO: no allocator and no gz* files of its own.
  compile "$1" -DZ_SOLO -I"$src" "$src"/{adler32,crc32,deflate,trees,zutil}.c
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

fetch libz-sys 1.1.31 ff20308ecabd635a2dc1dd5834a86c462cca20efba1d5d3ddab1f8aea3455cb2
fetch libz-ng-sys 1.1.16 4436751a01da56f1277f323c80d584ffad94a3d14aecd959dd0dff75aa73a438
fetch libz-ng-sys 1.1.22 a7118c2c2a3c7b6edc279a8b19507672b9c4d716f95e671172dfa4e23f9fd824
fetch libz-ng-sys 1.1.23 7bf914b7dd154ca9193afec311d8e39345c1bd93b48b3faa77329f0db8f553c0
fetch libz-ng-sys 1.1.32 4d6f7f90c9e84e2716ee493ef7493995eb52772deb5ce12f960c13f6a90350a3

zlib zlib-1.3.2 1.1.31
old=("$here/insert_string_crc32.c" SRC/cpu_features.c -DUNALIGNED_OK -DUNALIGNED64_OK)
zlib_ng zlib-ng-2.1.6-x86_64 1.1.16 "${old[@]}" -DHASH_POLYNOMIAL=0x82f63b78u
zlib_ng zlib-ng-2.1.6-aarch64 1.1.16 "${old[@]}" -DHASH_POLYNOMIAL=0xedb88320u
zlib_ng zlib-ng-2.2.4 1.1.22 SRC/insert_string.c
zlib_ng zlib-ng-2.2.5 1.1.23 SRC/insert_string.c
zlib_ng zlib-ng-2.3.3 1.1.32 SRC/insert_string.c

(cd "$out" && sha256sum ./*.wasm | sed 's,\./,,' >SHA256SUMS && cat SHA256SUMS && ls -l)
