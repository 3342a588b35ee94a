#!/bin/bash
# Writes digests.txt: what the xz of Debian 12 and of Debian 13 (5.4.1 and 5.8.1) make of two samples, at every preset
# and with one thread, two, and as many as there are. Needs Debian 12 for amd64, apt and 3 GiB of memory; Debian 13's is
# unpacked beside.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# Something of everything; at -0, `blocks` is of several blocks.
zstd -q -dc "$here/../iso/live.iso.zst" >iso
zeros() { head -c "$1" /dev/zero; }
noise() { openssl enc -aes-128-ctr -nosalt -K 00000000000000000000000000000000 -iv 00000000000000000000000000000000 </dev/zero 2>/dev/null | head -c "$1"; }
{ set +o pipefail; head -c 400000 iso; seq 20000; noise 70000; zeros 150000; seq 5000 9000; } >sample
{ set +o pipefail; cat sample; noise 2300000; zeros 2200000; tail -c 300000 sample; } >blocks

# Packages of Debian 13, whatever the host's sources are.
mkdir -p apt/lists/partial apt/cache/archives/partial root
cat >apt/trixie.sources <<'SOURCES'
Types: deb
URIs: http://deb.debian.org/debian
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
options=(-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/apt" -o Dir::State::Lists="$work/apt/lists"
  -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User=root)
apt-get -q "${options[@]}" update >&2
apt-get -q "${options[@]}" download xz-utils/trixie liblzma5/trixie >&2
for package in ./*.deb; do dpkg-deb -x "$package" root; done
xz13() { LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu root/usr/bin/xz "$@"; }

digests() { # XZ SAMPLE OPTION...
  local xz=$1 sample=$2 version
  version=$("$xz" --version | sed -n 's/^xz.* //p')
  shift 2
  echo "$version $sample $* $("$xz" -c "$@" <"$sample" | sha256sum | cut -d' ' -f1)"
}
for xz in xz xz13; do
  for preset in {0..9}{,e}; do
    for threads in 1 2 0; do digests "$xz" sample "-$preset" "-T$threads"; done
  done
  for check in none crc32 sha256; do digests "$xz" sample -0 -T1 "--check=$check"; done
  for threads in 1 2 0; do digests "$xz" blocks -0 "-T$threads"; done
  digests "$xz" blocks -1 -T2 --block-size=1500000
  digests "$xz" blocks -0 -T1 --block-size=1000000
  digests "$xz" blocks -0 -T2 --check=sha256
done >"$here/digests.txt"
sha256sum sample blocks | sed 's/^\([^ ]*\)  /\1 /' >"$here/samples.sha256"
