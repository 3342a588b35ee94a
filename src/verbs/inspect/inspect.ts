import { stat } from 'node:fs/promises';
import { type Bundle, isBundle, openBundle } from '../../bundle/read.ts';
import { UnsupportedError } from '../../core/errors.ts';
import { osError } from '../../core/io/os-error.ts';
import { type BundleReport, renderBundleReport, reportBundle } from './bundle-report.ts';
import { type HostReport, renderHostReport } from './host-report.ts';
import { type IsoReport, inspectIso } from './iso-report.ts';
import { renderIsoReport } from './render-iso-report.ts';

export type Inspection =
  | { readonly kind: 'bundle'; readonly bundle: BundleReport }
  | { readonly kind: 'iso'; readonly iso: IsoReport }
  | { readonly kind: 'host'; readonly host: HostReport };

/** Describes a bundle (a folder) or a live ISO (a file). Throws UnsupportedError `NOT_INSPECTABLE`. */
export async function inspect(
  path: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<Inspection> {
  let isFile: boolean;
  try {
    isFile = (await stat(path)).isFile();
  } catch (error) {
    throw osError(error, 'open', path);
  }
  if (isFile) return { kind: 'iso', iso: await inspectIso(path, options) };
  if (await isBundle(path)) return inspectBundle(await openBundle(path, options.signal));
  throw new UnsupportedError(`${path} is neither a bundle nor a live ISO`, {
    code: 'NOT_INSPECTABLE',
    context: { path },
    hint: 'name a folder made by `iso-rehydrate dehydrate`, or an ISO file',
  });
}

export async function inspectBundle(bundle: Bundle): Promise<Inspection> {
  return { kind: 'bundle', bundle: await reportBundle(bundle) };
}

export function renderInspection(inspection: Inspection): string {
  switch (inspection.kind) {
    case 'bundle':
      return renderBundleReport(inspection.bundle);
    case 'iso':
      return renderIsoReport(inspection.iso);
    case 'host':
      return renderHostReport(inspection.host);
  }
}
