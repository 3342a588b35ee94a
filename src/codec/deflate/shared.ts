import { type Deflater, loadDeflate } from './deflater.ts';
import type { Implementation } from './implementations.ts';

const loaded = new Map<Implementation, Promise<Deflater>>();

/** This thread's own deflater; its `compress` is synchronous, so any number of tasks can share it. */
export function sharedDeflater(implementation: Implementation): Promise<Deflater> {
  let deflater = loaded.get(implementation);
  if (deflater === undefined) {
    deflater = loadDeflate(implementation);
    loaded.set(implementation, deflater);
  }
  return deflater;
}
