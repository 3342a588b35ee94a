#!/usr/bin/env node
// This file must parse on any Node, however old: plain statements, and no import but the last.
const wanted = [22, 18];
const found = process.versions.node.split('.').map(Number);
const major = found[0] || 0;
const minor = found[1] || 0;

if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `error: iso-rehydrate needs Node.js ${wanted.join('.')} or newer; this is ${process.version}`,
  );
  console.error('fix: install a newer Node.js');
  process.exitCode = 8;
} else {
  import('./main.ts').then((main) => main.runMain());
}
