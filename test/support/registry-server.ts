import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';

export interface RegistryServer extends AsyncDisposable {
  /** `127.0.0.1:5000`. */
  readonly host: string;
}

/** Access control: by password, or by tokens from a token server. */
export type RegistryLogin =
  | { readonly user: string; readonly password: string }
  | { readonly realm: string; readonly certificate: string };

/**
 * The CNCF distribution registry (Debian: docker-registry), with its files in `folder`, on a free port or on that of an
 * earlier server.
 */
export async function registryServer(
  folder: string,
  login?: RegistryLogin,
  earlier?: string,
): Promise<RegistryServer> {
  const port = earlier === undefined ? await freePort() : Number(earlier.split(':')[1]);
  await mkdir(join(folder, 'data'), { recursive: true });
  const auth = login ? await authOf(folder, login) : '';
  const config = join(folder, 'config.yml');
  await writeFile(
    config,
    `version: 0.1
log: { level: error }
storage: { filesystem: { rootdirectory: ${join(folder, 'data')} } }
http: { addr: "127.0.0.1:${port}" }
${auth}`,
  );
  const server = execa('docker-registry', ['serve', config], { reject: false, stdin: 'ignore' });
  const host = `127.0.0.1:${port}`;
  for (let i = 0; ; i++) {
    const answer = await fetch(`http://${host}/v2/`).catch(() => undefined);
    if (answer) break;
    if (i > 300) throw new Error('the registry did not start');
    await sleep(100);
  }
  return {
    host,
    async [Symbol.asyncDispose]() {
      server.kill();
      await server;
    },
  };
}

async function authOf(folder: string, login: RegistryLogin): Promise<string> {
  if ('realm' in login) {
    const { realm, certificate } = login;
    return `auth: { token: { realm: "${realm}", service: test, issuer: test, rootcertbundle: ${certificate} } }\n`;
  }
  const { user, password } = login;
  const salt = '$2b$05$abcdefghijklmnopqrstuu';
  const { stdout } = await execa('perl', ['-e', 'print crypt($ARGV[0], $ARGV[1])', password, salt]);
  const path = join(folder, 'htpasswd');
  await writeFile(path, `${user}:${stdout.replace('$2b$', '$2y$')}\n`);
  return `auth: { htpasswd: { realm: test, path: ${path} } }\n`;
}

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === 'object') resolve(address.port);
      });
    });
  });
}
