import { FormatError } from '../errors.ts';

/** The body of a response whole, if it has at most `limit` bytes. Throws FormatError `TOO_LARGE`. */
export async function readBody(response: Response, limit: number, what: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of response.body ?? []) {
    length += piece.length;
    if (length > limit) {
      throw new FormatError(`the server sends too much for ${what}`, {
        code: 'TOO_LARGE',
        context: { url: response.url, limit },
        hint: 'check the location',
      });
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
