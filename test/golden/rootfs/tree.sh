# Trees of files that exercise every part of the readers of root images. Sourced by the scripts in this folder.

# noise BYTES SEED: bytes that do not compress, the same ones each time.
noise() {
  openssl enc -aes-128-ctr -nosalt -K "$(printf '%032x' "$2")" -iv 0 -in /dev/zero 2>/dev/null |
    head -c "$1" || true
}

make_tree() { # DIR
  local dir=$1 objects=$1/ostree/repo/objects
  mkdir -p "$objects"/{00,ab,ff}
  : >"$objects/00/empty.file"
  printf x >"$objects/00/byte.file"
  head -c 5000 <(yes small) >"$objects/00/small.file"
  head -c 65536 <(yes block) >"$objects/ab/block.file"
  head -c 262144 <(seq 1 60000) >"$objects/ab/blocks.file"
  { head -c 300000 <(seq 5 90000); noise 5000 1; } >"$objects/ab/tail.file"
  noise 70000 2 >"$objects/ab/noise.file"
  # Data, a hole of many blocks, data, a hole up to the end.
  { head -c 10000 <(yes begin); head -c 500000 /dev/zero; noise 3000 3; } >"$objects/ff/sparse.file"
  truncate -s 800000 "$objects/ff/sparse.file"
  head -c 400000 /dev/zero >"$objects/ff/zeros.file"
  cp "$objects/ab/noise.file" "$objects/ff/duplicate.file"
  ln "$objects/ab/tail.file" "$objects/ff/hardlink.file"
  ln -s ../ab/tail.file "$objects/ff/link.file"
}

# More files than a directory header, a metadata block and a block of the fragment table take.
make_many() { # DIR
  local dir=$1/ostree/repo/objects/12 i
  mkdir -p "$dir"
  for i in $(seq 1 2500); do head -c $((800 + i % 300)) <(yes "file $i") >"$dir/$i.file"; done
}

# For mutations: a few kilobytes with a bit of everything.
make_tiny() { # DIR
  local objects=$1/ostree/repo/objects
  mkdir -p "$objects"/{00,ab}
  : >"$objects/00/empty.file"
  head -c 700 <(yes small) >"$objects/00/small.file"
  head -c 10000 <(seq 1 2500) >"$objects/00/blocks.file"
  noise 1500 4 >"$objects/00/noise.file"
  { head -c 5000 <(seq 7 2500); head -c 9000 /dev/zero; noise 300 5; } >"$objects/ab/sparse.file"
  cp "$objects/00/blocks.file" "$objects/ab/duplicate.file"
  ln -s ../00/small.file "$objects/ab/link.file"
}

# The same files by their SHA-256, as a repository names its objects.
make_objects() { # DIR TREE
  local file sum
  find "$2" -type f | while read -r file; do
    sum=$(sha256sum "$file" | cut -c1-64)
    mkdir -p "$1/ostree/repo/objects/${sum:0:2}"
    cp --sparse=always "$file" "$1/ostree/repo/objects/${sum:0:2}/${sum:2}.file"
  done
}
