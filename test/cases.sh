#!/bin/bash
# Runs a folder of cases (scripts that show a fault, see its README) against the built program, and says of each
# whether the outcome is the right one. Two of them need root.
# usage: test/cases.sh FOLDER-OF-CASES
set -u
cases=$(realpath "$1")
cd "$(dirname "$0")/.." || exit 1
export ISO_REHYDRATE=$PWD/dist/src/cli/bin.js
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong=0

# verdict NAME RIGHT?: RIGHT? is the exit code of what judged it
verdict() {
  if [ "$2" = 0 ]; then echo "right  $1"; else echo "WRONG  $1"; wrong=$((wrong + 1)); cat "$work/out"; fi
}
# try NAME COMMAND...: keeps what it prints
try() { shift 1; timeout 300 "$@" >"$work/out" 2>&1; }
has() { grep -Eq -e "$1" "$work/out"; }
count() { [ "$(grep -Ec -e "$1" "$work/out")" = "$2" ]; }

node -e 'import("./test/support/native-release.ts").then((it) => it.writeNativeRelease(process.argv[1]))' "$work/release" &&
  node "$ISO_REHYDRATE" dehydrate --stream "$work/release/stream.json" --artifacts "$work/release" --engine native \
    --cache-dir "$work/cache" -o "$work/bundle" -q >/dev/null || exit 1
bundle=$work/bundle

try push bash "$cases/push-to-plain-http.sh" "$bundle"
has 'REGISTRY_LOCATION' && ! has '^PLAIN'
verdict 'push-to-plain-http: refused, and nothing goes in clear' $?
try challenges bash "$cases/challenges.sh"
# Without a login, the two that know no token get no further; all others do.
count 'ours: .*404' 16 && count 'ours: .*requires a login' 2
verdict 'challenges: in wherever skopeo is' $?
try docker-io bash "$cases/docker-io.sh"
has '^registry-1.docker.io GET .* Basic dTpw' && ! has '^docker.io'
verdict 'docker-io: registry-1.docker.io, with the login of index.docker.io' $?
try proxy bash "$cases/proxy.sh"
has '^PROXY GET http://mirror.invalid/live.iso' && has '^PROXY GET http://mirror.invalid/v2/coreos'
verdict 'proxy: used' $?
try token-expires bash "$cases/token-expires.sh" "$bundle"
count '^rc 0; left: 0 part files' 3 && ! has 'AUTH SEEN'
verdict 'token-expires: pulled, without a login for others' $?
try busy-registry bash "$cases/busy-registry.sh" "$bundle"
count '^rc 0' 4
verdict 'busy-registry: waits and goes on' $?
try content-encoding bash "$cases/content-encoding.sh"
count '^disk.raw.gz$' 3 && ! has 'DIGEST|\.bad'
verdict 'content-encoding: the bytes as stored' $?
try armored-keyring bash "$cases/armored-keyring.sh"
count '^live.iso$' 3 && ! has 'SIGNATURE|KEYRING|\.bad'
verdict 'armored-keyring: accepted' $?

mkdir "$work/base" "$work/images" && cd "$work/images" || exit 1
ln -s "$work/release/live.iso" ../base/live.iso
xz -dc "$work/release/metal.raw.xz" >../base/metal.raw
cp ../base/metal.raw disk.raw && printf 'ignition.platform.id=vultr' | dd of=disk.raw bs=1 seek=1100000 conv=notrunc status=none
cp "$cases/two-frames.raw.zst" "$cases/gzip-quiet-start.img.gz" .
zstd -qdc two-frames.raw.zst >two-frames.raw
gzip -dc gzip-quiet-start.img.gz >quiet.img
python3 "$cases/zip-stored-to-pipe.py" disk.raw >disk.vhdx.zip
python3 "$cases/vmdk-swapped.py" disk.raw swapped.vmdk swap
python3 "$cases/vmdk-swapped.py" disk.raw straight.vmdk straight
BASE=$work/base RELEASE=42.1 BIN=$ISO_REHYDRATE try round-trip python3 "$cases/round-trip.py" "$work/round-trip" \
  vultr:raw.zst=two-frames.raw.zst,two-frames.raw hyperv:vhdx.zip=disk.vhdx.zip,disk.raw \
  aws:vmdk=swapped.vmdk vmware:vmdk=straight.vmdk digitalocean:img.gz=gzip-quiet-start.img.gz
count 'IDENTICAL' 5
verdict 'round-trip: all come back' $?
has 'aws/vmdk: .* delta=[0-9]{1,3} '
verdict 'vmdk-swapped: as small as in order' $?
has 'digitalocean/img.gz: ' && ! has 'none of the deflaters'
verdict 'gzip-quiet-start: made again' $?
echo "$wrong wrong"
[ "$wrong" = 0 ]
