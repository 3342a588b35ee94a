#!/usr/bin/env bash
# Makes src/codec/released/xz/wasm/*.wasm: the pinned encoder of liblzma as WebAssembly, from the source that the crate
# liblzma-sys carries. Needs cargo, clang 14, lld 14 and wasi-libc, as Debian 12 ships them: then the file comes out
# byte for byte as committed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../src/codec/released/xz/wasm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

. "$here/fetch.sh"
fetch liblzma-sys 0.4.9 7c7e3581f367a78d7b7e7ae948d023310556f0cfc13156c2e4e00e25616492b9

# liblzma NAME FOLDER: one module with the exports of xz.c. Threads are ours; filters other than LZMA2 are left out.
liblzma() {
  local lib=$work/$2/src/liblzma file files=()
  for file in common/{common,filter_common,filter_encoder} check/{crc32_fast,crc64_fast} \
    lz/{lz_encoder,lz_encoder_mf} lzma/{lzma2_encoder,lzma_encoder,lzma_encoder_optimum_fast} \
    lzma/{lzma_encoder_optimum_normal,lzma_encoder_presets,fastpos_table} rangecoder/price_table; do
    files+=("$lib/$file.c")
  done
  clang --target=wasm32-wasi -Wno-unused-command-line-argument -O3 -mbulk-memory -mexec-model=reactor \
    -ffile-prefix-map="$work"=. -fvisibility=hidden -ffunction-sections -fdata-sections \
    -Wl,--gc-sections -Wl,--strip-all -Wl,-z,stack-size=65536 -nodefaultlibs -lc \
    -DNDEBUG -DHAVE_STDBOOL_H -DHAVE__BOOL -DHAVE_STDINT_H -DHAVE_INTTYPES_H -DHAVE_LIMITS_H -DHAVE_STRING_H \
    -DSIZEOF_SIZE_T=4 -DHAVE_ENCODERS -DHAVE_ENCODER_LZMA1 -DHAVE_ENCODER_LZMA2 \
    -DHAVE_MF_HC3 -DHAVE_MF_HC4 -DHAVE_MF_BT2 -DHAVE_MF_BT3 -DHAVE_MF_BT4 -DHAVE_CHECK_CRC32 -DHAVE_CHECK_CRC64 \
    -DTUKLIB_FAST_UNALIGNED_ACCESS -DTUKLIB_SYMBOL_PREFIX=lzma_ -DLZMA_API_STATIC -DASSUME_RAM=128 \
    -DPACKAGE_URL='""' -DPACKAGE_NAME='""' -DPACKAGE_BUGREPORT='""' \
    -I"$lib"/{api,common,check,lz,lzma,rangecoder,simple,delta} -I"$work/$2/src/common" \
    "${files[@]}" "$here/xz.c" -o "$out/$1.wasm"
}

liblzma liblzma-5.8.4 liblzma-sys-0.4.9/xz

(cd "$out" && chmod 644 ./*.wasm && sha256sum ./*.wasm | sed 's,\./,,' >SHA256SUMS && cat SHA256SUMS && ls -l)
