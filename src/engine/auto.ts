import { UnsupportedError } from '../core/errors.ts';
import { silent } from '../core/progress/progress.ts';
import type { MetalEngine } from './engine.ts';

/**
 * Uses `preferred` if it understands the ISO, otherwise `fallback`, with a note. A damaged ISO is an error:
 * the other engine would only take longer to find the damage.
 */
export function createAutoEngine(preferred: MetalEngine, fallback: MetalEngine): MetalEngine {
  return {
    name: 'auto',
    async regenerate(request) {
      try {
        return await preferred.regenerate(request);
      } catch (error) {
        if (!(error instanceof UnsupportedError)) throw error;
        const { progress = silent, iso } = request;
        const message = `${error.message}: the ${fallback.name} engine takes over from the ${preferred.name} one`;
        progress({ type: 'note', subject: `${iso.arch} engine`, message });
        const report = await fallback.regenerate(request);
        return { ...report, detail: `${report.detail} (${preferred.name}: ${error.message})` };
      }
    },
  };
}
