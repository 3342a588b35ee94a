#!/usr/bin/env bash
# Writes the reference of the library's exports to .work/api. typedoc needs the compiler API, which TypeScript 7 no
# longer has, so it gets a TypeScript of its own, apart from the project's packages.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=.tools/typedoc
[ -x "$tools/node_modules/.bin/typedoc" ] ||
  npm install --loglevel=error --no-audit --no-fund --prefix "$tools" typedoc@0.28.20 typescript@6.0 >&2
"$tools/node_modules/.bin/typedoc" --logLevel Error --skipErrorChecking --readme docs/library.md --name iso-rehydrate \
  --tsconfig tsconfig.json --entryPoints src/index.ts --out .work/api --disableSources --excludeInternal
