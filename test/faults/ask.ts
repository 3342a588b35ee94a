import { createHash } from 'node:crypto';
import { get } from 'node:http';

/** A server's answers, by path: the SHA-256 of a complete body, or why there is none. */
export type Answers = Readonly<Record<string, string>>;

/** The URL in the line that `serve --json` prints once it listens. */
export const urlIn = (stdout: string): string | undefined =>
  /"type":"serving","url":"([^"]+)"/.exec(stdout)?.[1];

/** Requests one path after the other. */
export async function askAll(url: string, paths: readonly string[]): Promise<Answers> {
  const answers: Record<string, string> = {};
  for (const path of paths) answers[path] = await ask(url + path);
  return answers;
}

const ask = (url: string) =>
  new Promise<string>((resolve) => {
    const request = get(url, { agent: false }, (response) => {
      const hash = createHash('sha256');
      response.on('data', (chunk) => hash.update(chunk));
      response.on('error', () => resolve('cut'));
      response.on('end', () =>
        resolve(response.statusCode === 200 ? hash.digest('hex') : `${response.statusCode}`),
      );
    });
    request.on('error', () => resolve('cut'));
  });

/** Complete bodies that are not the expected ones. */
export const wrongAnswers = (found: Answers, expected: Answers): string[] =>
  Object.entries(found)
    .filter(([path, answer]) => /^[0-9a-f]{64}$/.test(answer) && answer !== expected[path])
    .map(([path]) => path);
