import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';

/** A page in a real browser of a certain width and colour scheme, asked through the DevTools protocol. */
export interface Page {
  /** The value of an expression in the page; its own policy does not apply. */
  evaluate<T>(expression: string): Promise<T>;
}

export interface View {
  readonly width: number;
  readonly scheme: 'light' | 'dark';
}

/** Opens a page, hands it over, and ends the browser. */
export async function inView<T>(
  url: string,
  { width, scheme }: View,
  use: (page: Page) => Promise<T>,
): Promise<T> {
  const home = await mkdtemp(join(tmpdir(), 'iso-rehydrate-browser-'));
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--remote-debugging-port=0'];
  const browser = execa('chromium', [...flags, `--user-data-dir=${home}`, 'about:blank'], {
    reject: false,
    forceKillAfterDelay: 2000,
  });
  try {
    const port = await portOf(home);
    const targets = await (await fetch(`http://127.0.0.1:${port}/json/list`)).json();
    const target = (targets as { type: string; webSocketDebuggerUrl: string }[]).find(
      ({ type }) => type === 'page',
    );
    if (target === undefined) throw new Error('the browser has no page');
    const { call, close, event } = await connect(target.webSocketDebuggerUrl);
    await call('Page.enable');
    const metrics = { width, height: 900, deviceScaleFactor: 1, mobile: width < 600 };
    await call('Emulation.setDeviceMetricsOverride', metrics);
    const features = [{ name: 'prefers-color-scheme', value: scheme }];
    await call('Emulation.setEmulatedMedia', { features });
    const loaded = event('Page.loadEventFired');
    await call('Page.navigate', { url });
    await loaded;
    const page: Page = {
      async evaluate(expression) {
        const answer = await call('Runtime.evaluate', { expression, returnByValue: true });
        const { result, exceptionDetails } = answer as {
          result: { value: never };
          exceptionDetails?: { text: string };
        };
        if (exceptionDetails) throw new Error(exceptionDetails.text);
        return result.value;
      },
    };
    const result = await use(page);
    close();
    return result;
  } finally {
    browser.kill();
    await browser;
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function portOf(home: string): Promise<string> {
  for (let tries = 0; tries < 600; tries++) {
    const text = await readFile(join(home, 'DevToolsActivePort'), 'utf8').catch(() => '');
    const [port = ''] = text.split('\n');
    if (port !== '') return port;
    await sleep(100);
  }
  throw new Error('the browser did not start');
}

async function connect(url: string) {
  const socket = new WebSocket(url);
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true });
    socket.addEventListener('error', reject, { once: true });
  });
  const answers = new Map<number, (message: { result?: unknown; error?: unknown }) => void>();
  const events = new Map<string, () => void>();
  let last = 0;
  socket.addEventListener('message', ({ data }) => {
    const message = JSON.parse(String(data));
    answers.get(message.id)?.(message);
    events.get(message.method)?.();
  });
  return {
    call(method: string, params: object = {}): Promise<unknown> {
      last += 1;
      const id = last;
      socket.send(JSON.stringify({ id, method, params }));
      return new Promise((resolve, reject) => {
        answers.set(id, ({ result, error }) => {
          if (error) reject(new Error(JSON.stringify(error)));
          else resolve(result);
        });
      });
    },
    event: (name: string) => new Promise<void>((resolve) => events.set(name, resolve)),
    close: () => socket.close(),
  };
}

/** What is wrong with how a page looks, in words; nothing if it fits its view and can be read. */
export const LOOKS = `(() => {
  const wrong = [];
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) wrong.push('wider than the view: ' + scrollWidth + ' > ' + clientWidth);
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (color) => {
    const [r, g, b] = rgb(color).map((byte) => {
      const part = byte / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (rgb(color)[3] === 255) return color;
    }
    return 'white';
  };
  for (const node of document.querySelectorAll('body *')) {
    const says = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    const box = node.getBoundingClientRect();
    if (!says || box.width < 2 || box.height < 2 || node.closest('svg, script')) continue;
    const name = node.tagName + ' ' + node.textContent.trim().slice(0, 30);
    const scrolls = node.closest('.wide');
    if (!scrolls && box.right > clientWidth + 1) wrong.push('cut off: ' + name);
    const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) wrong.push('hard to read (' + contrast.toFixed(1) + '): ' + name);
  }
  return wrong;
})()`;
