import { createAutoEngine } from './auto.ts';
import { createBothEngine } from './both.ts';
import type { MetalEngine } from './engine.ts';
import { createNativeEngine } from './native/index.ts';
import { createQemuEngine, type QemuEngineOptions } from './qemu/index.ts';

export const ENGINES = ['qemu', 'native', 'both', 'auto'] as const;
export type EngineChoice = (typeof ENGINES)[number];

export interface CreateEngineOptions extends QemuEngineOptions {
  readonly engine: EngineChoice;
}

export function createEngine({ engine, ...qemu }: CreateEngineOptions): MetalEngine {
  switch (engine) {
    case 'qemu':
      return createQemuEngine({ ...qemu, hasAlternative: true });
    case 'native':
      return createNativeEngine();
    case 'both':
      return createBothEngine(createQemuEngine(qemu), createNativeEngine());
    case 'auto':
      return createAutoEngine(createNativeEngine(), createQemuEngine(qemu));
  }
}
