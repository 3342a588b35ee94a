# Sourced by make.sh: reproducible contents for miniature disks.

text() { seq -f 'line %.0f of a file that deflates well, though not too well' "$1" "$2"; }
noise() { openssl enc -aes-128-ctr -K "$(printf %032x "$1")" -iv 0 < <(head -c "$2" /dev/zero) 2>/dev/null; }
put() { # FILE OFFSET: from stdin
  dd of="$1" bs=4096 seek="$2" oflag=seek_bytes conv=notrunc status=none
}

# miniature FILE SIZE: data at both ends, holes, an isolated sector, an incompressible grain.
miniature() {
  rm -f "$1" && truncate -s "$2" "$1"
  text 1 9000 | put "$1" 0
  noise 1 70000 | put "$1" 3145728
  text 5 40 | put "$1" $(($2 / 2))
  printf x | put "$1" $(($2 * 3 / 4))
  text 8500 9000 | tail -c 20000 | put "$1" $(($2 - 20000))
}
