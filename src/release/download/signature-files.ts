import { join } from 'node:path';
import { RehydrateError } from '../../core/errors.ts';
import type { Http } from '../../core/http/client.ts';
import { fetchSmall } from '../../core/http/fetch-small.ts';
import { writeAtomically } from '../../core/io/atomic.ts';
import { isAbsent } from '../../core/io/os-error.ts';
import { readWhole } from '../../core/io/regular.ts';
import type { StreamArtifact } from '../stream/artifacts.ts';
import { MAX_SIGNATURE } from './signature.ts';

/** Where a folder has the detached signature of a released file: beside it, as releases call them. */
const signaturePath = (folder: string, { releasedName }: Pick<StreamArtifact, 'releasedName'>) =>
  join(folder, `${releasedName}.sig`);

/** The signature in a folder; undefined if there is none, or the file is not a signature. */
export async function readSignature(
  folder: string,
  artifact: Pick<StreamArtifact, 'releasedName'>,
  signal?: AbortSignal,
): Promise<Buffer | undefined> {
  const path = signaturePath(folder, artifact);
  try {
    const bytes = await readWhole(path, { limit: MAX_SIGNATURE, what: 'the signature', signal });
    return isSignature(bytes) ? bytes : undefined;
  } catch (error) {
    if (isAbsent(error instanceof RehydrateError ? error.cause : error)) return undefined;
    throw error;
  }
}

const ARMOR = '-----BEGIN PGP SIGNATURE-----';

/** RFC 9580: a packet of type 2, in the old format (4.2.2) or the new one, or ASCII armor (6.2). */
function isSignature(bytes: Buffer): boolean {
  const [tag = 0] = bytes;
  return (tag & 0xfc) === 0x88 || tag === 0xc2 || bytes.toString('latin1', 0, 4096).includes(ARMOR);
}

/** Fetches a signature. Throws the errors of {@link fetchSmall}. */
export const fetchSignature = (
  url: string,
  options: { readonly http: Http; readonly signal?: AbortSignal | undefined },
): Promise<Buffer> =>
  fetchSmall(url, {
    ...options,
    ...{ limit: MAX_SIGNATURE, what: 'a signature' },
    hint: 'check the location of the signature in the stream JSON',
  });

/** Puts a signature beside its file, for the bundle. */
export const keepSignature = (
  folder: string,
  artifact: Pick<StreamArtifact, 'releasedName'>,
  bytes: Uint8Array,
): Promise<void> => writeAtomically(signaturePath(folder, artifact), (sink) => sink.write(bytes));
