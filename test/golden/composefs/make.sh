#!/usr/bin/env bash
# Makes image.cfs.zst and objects.txt with mkcomposefs 1.0.8 from the files usr/lib/* of src/engine/files/files.test.ts.
# Only Debian sid packages it, so the program is unpacked into a folder and runs with its own libraries.
#
#   test/golden/composefs/make.sh
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/lists/partial "$work"/cache/archives/partial "$work"/root "$work"/store
touch "$work/status"
echo 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian sid main' >"$work/list"
apt=(apt-get -q -o Dir::Etc::sourcelist="$work/list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$work/lists"
  -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o APT::Architecture=amd64 -o APT::Sandbox::User=root)
"${apt[@]}" update
(cd "$work" && "${apt[@]}" download composefs libcomposefs1 libc6 libssl3t64 libzstd1 zlib1g)
for package in "$work"/*.deb; do dpkg -x "$package" "$work/root"; done
libraries=$work/root/usr/lib/x86_64-linux-gnu

python3 - "$work/tree/usr/lib" <<'PYTHON'
import os, sys
folder = sys.argv[1]
os.makedirs(folder)

def write(name, seed, length):
    state, content = seed + 1, bytearray()
    for _ in range(length):
        state = (state * 1664525 + 1013904223) % 2**32
        content.append(state >> 24)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(content)

for i in range(50):
    write(f"f{i}", i, 1 + i * i * 97)
    write(f"same{i}", 1000 + i, 5000)
PYTHON
"$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$work/root/usr/bin/mkcomposefs" \
  --use-epoch --skip-xattrs --print-digest --digest-store="$work/store" "$work/tree" "$work/image.cfs" >image.digest
zstd -q -19 -f "$work/image.cfs" -o image.cfs.zst
(cd "$work/store" && find . -type f -printf '%P\n' | sort | xargs sha256sum) >objects.txt
