import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

/** A self-signed certificate for these names or addresses of a server on loopback. */
export async function selfSigned(
  folder: string,
  names = ['DNS:localhost', 'DNS:reg.test', 'IP:127.0.0.1'],
): Promise<{ key: Buffer; cert: Buffer; certPath: string; keyPath: string }> {
  const keyPath = join(folder, 'server.key');
  const certPath = join(folder, 'server.crt');
  await execa('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=test'],
    ...['-addext', `subjectAltName=${names.join(',')}`, '-keyout', keyPath, '-out', certPath],
  ]);
  return { key: await readFile(keyPath), cert: await readFile(certPath), certPath, keyPath };
}
