# To be sourced: how pinned sources come into $work.

# fetch CRATE VERSION SHA256: unpacks a crate; both cargo and this script check its hash.
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
