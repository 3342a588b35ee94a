#!/usr/bin/env bash
# Sets up what is missing, then lints, type-checks, builds the fixtures and runs every test.
# The last line reads `N passed, N failed, N skipped`. Arguments go to vitest.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
. scripts/setup.sh --env
set -euo pipefail

npm run --silent check
export ISO_REHYDRATE_FIXTURE=${ISO_REHYDRATE_FIXTURE:-$PWD/.work/fixture/all}
npm run --silent fixture -- --arch all --out "$ISO_REHYDRATE_FIXTURE"

mkdir -p .work
report=$PWD/.work/vitest.json
rm -f "$report"
status=0
npx vitest run --reporter=default --reporter=json --outputFile.json="$report" "$@" || status=$?
node scripts/test-summary.ts "$report" || status=$?
exit "$status"
