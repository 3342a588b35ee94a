#!/usr/bin/env bash
# Sets up what is missing, then lints, type-checks, builds the fixture and runs every test.
# The last line reads `N passed, N failed, N skipped`. Arguments go to vitest.
#
#   ISO_REHYDRATE_ARCHES   architectures to build and test: `all` (default) or a list such as x86_64,
#                          which takes less time: the others' guests are emulated everywhere.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh --tests
. scripts/setup.sh --env
set -euo pipefail

npm run --silent check
export ISO_REHYDRATE_ARCHES=${ISO_REHYDRATE_ARCHES:-all}
export ISO_REHYDRATE_FIXTURE=${ISO_REHYDRATE_FIXTURE:-$PWD/.work/fixture/$ISO_REHYDRATE_ARCHES}
npm run --silent fixture -- --arch "$ISO_REHYDRATE_ARCHES" --out "$ISO_REHYDRATE_FIXTURE"

mkdir -p .work
report=$PWD/.work/vitest.json
rm -f "$report"
status=0
npx vitest run --reporter=default --reporter=json --outputFile.json="$report" "$@" || status=$?
node scripts/test-summary.ts "$report" || status=$?
exit "$status"
