import http from 'node:http';
import https from 'node:https';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { bareHost, portOf } from './origin.ts';
import { type Environment, type ProxyServer, proxyFor } from './proxy.ts';
import { TransportError } from './transport-error.ts';
import type { Trust } from './trust.ts';

/** The options of `http.request` for reaching a URL. */
export interface Route {
  readonly tls: boolean;
  readonly options: http.RequestOptions;
}

export interface Agents extends Disposable {
  /** `trustAs`: another host whose authorities apply if this one has none of its own. */
  route(url: URL, trustAs?: string): Promise<Route>;
}

const KEEP = { keepAlive: true, maxFreeSockets: 4, scheduling: 'lifo' } as const;

/** Connections kept for further requests, one pool per origin, direct or through a proxy. */
export function createAgents(env: Environment, trust: Trust, patience: number): Agents {
  const pools = new Map<string, http.Agent>();
  const pool = async (key: string, make: () => Promise<http.Agent>): Promise<http.Agent> => {
    const made = pools.get(key) ?? (await make());
    // Another request may have been faster.
    const known = pools.get(key) ?? made;
    pools.set(key, known);
    return known;
  };
  const contextOf = (url: URL, trustAs: string | undefined) =>
    trust.contextFor([
      url.host,
      `${url.hostname}:${portOf(url)}`,
      ...(trustAs === undefined ? [] : [trustAs]),
    ]);

  return {
    async route(url, trustAs) {
      const proxy = proxyFor(url, env);
      const tls = url.protocol === 'https:';
      const path = `${url.pathname}${url.search}`;
      const target = { host: bareHost(url), port: portOf(url), headers: { host: url.host } };
      const key = `${url.origin} ${trustAs ?? ''}`;
      if (tls) {
        const agent = await pool(key, async () => {
          const options = { ...KEEP, secureContext: await contextOf(url, trustAs) };
          return proxy
            ? tunnelAgent(url, proxy, options, await proxyContext(proxy), patience)
            : new https.Agent(options);
        });
        return { tls, options: { ...target, path, agent } };
      }
      if (proxy === undefined) {
        const agent = await pool(key, async () => new http.Agent(KEEP));
        return { tls, options: { ...target, path, agent } };
      }
      // RFC 9112, 3.2.2: the request to a proxy names the whole URL.
      const agent = await pool(`proxy ${proxy.host}:${proxy.port}`, async () =>
        proxy.tls
          ? new https.Agent({ ...KEEP, ...(await proxyContext(proxy)) })
          : new http.Agent(KEEP),
      );
      return {
        tls: proxy.tls,
        options: {
          ...{ host: proxy.host, port: proxy.port, path: `${url.origin}${path}`, agent },
          headers: { host: url.host, ...loginOf(proxy) },
        },
      };
    },
    [Symbol.dispose]() {
      for (const agent of pools.values()) agent.destroy();
      pools.clear();
    },
  };

  async function proxyContext({ tls, host, port }: ProxyServer) {
    if (!tls) return undefined;
    return { secureContext: await trust.contextFor([`${host}:${port}`, host]) };
  }
}

const loginOf = ({ authorization }: ProxyServer): Record<string, string> =>
  authorization === undefined ? {} : { 'proxy-authorization': authorization };

/** TLS to the target inside a tunnel through a proxy (RFC 9110, 9.3.6). */
function tunnelAgent(
  url: URL,
  proxy: ProxyServer,
  options: https.AgentOptions,
  tlsToProxy: object | undefined,
  patience: number,
): https.Agent {
  const agent = new https.Agent(options);
  agent.createConnection = (own, done) => {
    openTunnel(url, proxy, tlsToProxy, patience).then(
      (socket) => done?.(null, connectTls({ ...(own as ConnectionOptions), socket })),
      (error: Error) => done?.(error, undefined as unknown as Duplex),
    );
    return undefined;
  };
  return agent;
}

function openTunnel(
  url: URL,
  proxy: ProxyServer,
  tlsToProxy: object | undefined,
  patience: number,
): Promise<Duplex> {
  const authority = `${url.hostname}:${portOf(url)}`;
  return new Promise((resolve, reject) => {
    const request = (proxy.tls ? https : http).request({
      ...{ method: 'CONNECT', host: proxy.host, port: proxy.port, path: authority },
      headers: { host: authority, ...loginOf(proxy) },
      agent: false,
      ...tlsToProxy,
    });
    const late = setTimeout(
      () => request.destroy(new TransportError('the proxy does not answer')),
      patience,
    );
    const failed = (error: Error) => {
      clearTimeout(late);
      request.destroy();
      reject(error);
    };
    request.on('error', failed);
    request.once('response', ({ statusCode }) => failed(refused(statusCode ?? 0)));
    request.once('connect', ({ statusCode = 0 }, socket) => {
      if (statusCode < 200 || statusCode > 299) {
        socket.destroy();
        failed(refused(statusCode));
        return;
      }
      clearTimeout(late);
      resolve(socket);
    });
    request.end();
  });
}

function refused(status: number): TransportError {
  if (status === 407) {
    return new TransportError('the proxy requires a login: add it to the URL of the proxy', {
      transient: false,
    });
  }
  return new TransportError(`the proxy refuses the connection: ${status}`, {
    transient: status >= 500,
  });
}
