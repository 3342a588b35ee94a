import { expect, test } from 'vitest';
import { proxyFor } from './proxy.ts';

const P = 'http://proxy.test:3128';
const at = (env: Record<string, string>, url = 'https://registry.example.com/v2/') => {
  const proxy = proxyFor(new URL(url), env);
  return proxy && `${proxy.tls ? 'https' : 'http'} ${proxy.host}:${proxy.port}`;
};

test.each([
  ['https://r.example/', { https_proxy: P }, true],
  ['https://r.example/', { HTTPS_PROXY: P }, true],
  ['https://r.example/', { http_proxy: P }, false],
  ['http://r.example/', { http_proxy: P }, true],
  // A CGI server sets it from a header of its client: curl ignores it, too.
  ['http://r.example/', { HTTP_PROXY: P }, false],
  ['http://r.example/', { https_proxy: P }, false],
  ['http://r.example/', { ALL_PROXY: P }, true],
  ['https://r.example/', { all_proxy: P }, true],
  ['https://r.example/', { https_proxy: '', HTTPS_PROXY: P }, true],
  ['https://r.example/', { https_proxy: '' }, false],
])('%s with %j: through the proxy is %s', (url, env, proxied) => {
  expect(at(env as Record<string, string>, url)).toBe(proxied ? 'http proxy.test:3128' : undefined);
});

test.each([
  ['proxy.test:3128', 'http proxy.test:3128'],
  ['proxy.test', 'http proxy.test:1080'],
  ['http://proxy.test:80/', 'http proxy.test:80'],
  ['http://me:a%40b@proxy.test:80', 'http proxy.test:80'],
  ['https://proxy.test', 'https proxy.test:443'],
  ['[::1]:3128', 'http ::1:3128'],
])('the proxy %s is %s', (value, expected) => {
  expect(at({ https_proxy: value })).toBe(expected);
});

test('a login in the URL of the proxy', () => {
  const login = (value: string) =>
    proxyFor(new URL('https://r.example/'), { https_proxy: value })?.authorization;
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
  expect(login('http://me:a%40b@proxy.test:1')).toBe(basic('me:a@b'));
  expect(login('http://me@proxy.test:1')).toBe(basic('me:'));
  expect(login('http://proxy.test:1')).toBeUndefined();
});

test.each(['socks5://me:secret@proxy.test:1', 'http://', 'http://me:secret@proxy.test:99999'])(
  'a proxy that cannot be used: %s',
  (value) => {
    const made = () => at({ ALL_PROXY: value });
    expect(made).toThrow(expect.objectContaining({ code: 'PROXY' }));
    expect(made).not.toThrow('secret');
  },
);

test.each([
  ['example.com', 'registry.example.com', true],
  ['.example.com', 'registry.example.com', true],
  ['*.example.com', 'registry.example.com', true],
  ['example.com', 'example.com', true],
  ['.example.com', 'example.com', true],
  ['EXAMPLE.com.', 'registry.example.COM', true],
  ['example.com', 'notexample.com', false],
  ['registry.example.com', 'example.com', false],
  ['a.test, example.com', 'example.com', true],
  ['a.test example.com', 'example.com', true],
  ['*', 'anything.test', true],
  ['a.test,*', 'anything.test', false],
  ['example.com:443', 'example.com', true],
  ['example.com:8443', 'example.com', false],
  ['example.com:8443', 'example.com:8443', true],
  ['10.1.2.3', '10.1.2.3', true],
  ['10.0.0.0/8', '10.1.2.3', true],
  ['10.0.0.0/8', '11.1.2.3', false],
  ['10.0.0.0/99', '10.0.0.0', false],
  ['127.0.0.1', '127.0.0.1:5000', true],
  ['[::1]', '[::1]:5000', true],
  ['::1', '[::1]', true],
  ['fd00::/8', '[fd12::1]', true],
  ['fd00::/8', '[fe12::1]', false],
  ['1.2.3', '0.1.2.3', false],
  ['', 'example.com', false],
])('NO_PROXY=%s, %s: direct is %s', (list, host, direct) => {
  const env = { https_proxy: P, NO_PROXY: list };
  expect(at(env, `https://${host}/`)).toBe(direct ? undefined : 'http proxy.test:3128');
  // Lower case counts first.
  expect(at({ ...env, no_proxy: 'other.test' }, `https://${host}/`)).toBeDefined();
});
