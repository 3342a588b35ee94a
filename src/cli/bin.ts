#!/usr/bin/env node
import { nodeProblem } from '../core/node-version.ts';

// No import but that one: any Node can read this file, however old.
const problem = nodeProblem(process.versions.node);
if (problem !== undefined) {
  console.error(`error: ${problem}`);
  console.error('fix: install a newer Node.js');
  process.exitCode = 8;
} else {
  import('./main.ts').then((main) => main.runMain());
}
