import type * as v from 'valibot';
import { afterAll, beforeAll, expect, expectTypeOf, test } from 'vitest';
import { cli } from '../../../test/support/cli.ts';
import { schemaErrors } from '../../../test/support/schema.ts';
import { temporaryFolder, writeSyntheticBundle } from '../../../test/support/synthetic-bundle.ts';
import type { ProgressEvent } from '../../core/progress/progress.ts';
import type { eventSchema } from './events.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let bundle: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  bundle = (await writeSyntheticBundle(folder.path)).path;
}, 180_000);
afterAll(() => folder[Symbol.asyncDispose]());

/** The types of the events of a command line, each valid by the published schema. */
async function typesOf(...argv: string[]): Promise<Set<string>> {
  const { stderr } = await cli([...argv, '--json', '--cache-dir', `${folder.path}/cache`]);
  const events = stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  for (const event of events)
    expect(schemaErrors('events', event), JSON.stringify(event)).toEqual([]);
  return new Set(events.map(({ type }) => type));
}

test('a run that succeeds', async () => {
  const out = ['-o', `${folder.path}/out`];
  const types = await typesOf('-b', bundle, '-p', 'metal', '-f', 'iso,pxe', ...out);
  expect(types).toContain('phase');
  expect(types).toContain('done');
  expect(types).toContain('summary');
  expect(types).not.toContain('error');
});

test('runs that fail', async () => {
  const types = await typesOf('-b', bundle, '-p', 'all', '-o', `${folder.path}/out-2`);
  expect(types).toContain('error');
  expect(types).toContain('summary');
  expect(await typesOf('-b', `${folder.path}/none`, '-p', 'qemu')).toEqual(new Set(['error']));
  expect(await typesOf('-b', bundle, '--nonsense')).toEqual(new Set(['error']));
});

test('what is no event is refused', () => {
  expect(schemaErrors('events', { type: 'phase', subject: 'qemu', phase: 'dream' })).not.toEqual(
    [],
  );
  expect(schemaErrors('events', { type: 'advance', subject: 'qemu', phase: 'hash' })).not.toEqual(
    [],
  );
  expect(schemaErrors('events', { type: 'other' })).not.toEqual([]);
});

test('every event of the library is in the schema', () => {
  expectTypeOf<ProgressEvent>().toExtend<v.InferInput<typeof eventSchema>>();
});
