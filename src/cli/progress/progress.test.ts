import { expect, test, vi } from 'vitest';
import { jsonLines, noteLines } from './json-lines.ts';
import { plainLines } from './plain-lines.ts';
import { statusLines, statusText } from './status-lines.ts';

const GIB = 2 ** 30;

test('plain lines: phases, notes and ends, one line each', () => {
  let text = '';
  using renderer = plainLines((more) => {
    text += more;
  });
  renderer.report({ type: 'phase', subject: 'qemu', phase: 'patch', total: 1.5 * GIB });
  renderer.report({ type: 'advance', subject: 'qemu', phase: 'patch', done: 5 });
  renderer.report({ type: 'note', subject: 'vm', message: 'two\nlines \x1b[31m' });
  renderer.report({ type: 'done', subject: 'qemu', seconds: 3.21 });
  expect(text).toBe(
    'qemu: patching (1.5 GiB)\nvm: note: two lines \\x1b[31m\nqemu: done in 3.2 s\n',
  );
});

test('JSON lines: every event but not every advance', () => {
  const lines: string[] = [];
  let now = 0;
  using renderer = jsonLines(
    (line) => lines.push(line),
    () => now,
  );
  renderer.report({ type: 'phase', subject: 'q', phase: 'patch', total: 100 });
  for (let done = 0; done <= 100; done++) {
    now += 10;
    renderer.report({ type: 'advance', subject: 'q', phase: 'patch', done, total: 100 });
  }
  const events = lines.map((line) => JSON.parse(line));
  expect(events[0]).toEqual({ type: 'phase', subject: 'q', phase: 'patch', total: 100 });
  expect(events.at(-1)).toMatchObject({ type: 'advance', done: 100 });
  expect(events.length).toBeLessThan(10);
});

test('JSON lines, quietly: notes and failures', () => {
  const lines: string[] = [];
  using renderer = noteLines((line) => lines.push(line));
  renderer.report({ type: 'phase', subject: 'q', phase: 'patch', total: 100 });
  renderer.report({ type: 'advance', subject: 'q', phase: 'patch', done: 100, total: 100 });
  renderer.report({ type: 'note', subject: 'q', message: 'look' });
  renderer.report({ type: 'done', subject: 'q', seconds: 1 });
  renderer.report({ type: 'failed', subject: 'q', message: 'no' });
  expect(lines.map((line) => JSON.parse(line).type)).toEqual(['note', 'failed']);
});

test('status text: percent, bytes and rate', () => {
  const state = { phase: 'patch', since: 0, done: GIB / 2, total: GIB } as const;
  expect(statusText('qemu', state, 2000)).toBe(
    'qemu: patching   50 %  512.0 MiB of 1.0 GiB  256.0 MiB/s  2 s left',
  );
  const boot = { phase: 'boot', since: 0, done: undefined, total: undefined } as const;
  expect(statusText('vm', boot, 7000)).toBe('vm: booting  7 s');
  const match = { phase: 'match', since: 0, done: 2048, total: undefined } as const;
  expect(statusText('aws', match, 100)).toBe('aws: matching  2,048 B');
});

test('status text: everything at 80 columns, the most important parts at 40', () => {
  const state = { phase: 'patch', since: 0, done: GIB / 2, total: 16 * GIB } as const;
  const at = (label: string, width: number) => statusText(label, state, 10_000, width - 1);
  expect(at('azure', 80)).toBe(
    'azure: patching    3 %  512.0 MiB of 16.0 GiB  51.2 MiB/s  5:10 min left',
  );
  expect(at('azure', 40)).toBe('azure: patching    3 %  5:10 min left');
  expect(at('aarch64 azurestack/vhd.xz', 40)).toBe('aarch64 azuresta…    3 %  5:10 min left');
  expect(at('aarch64 azurestack/vhd.xz', 10)).toHaveLength(9);
});

test('the clock ticks while nothing is reported', () => {
  vi.useFakeTimers();
  try {
    let drawn = '';
    using status = statusLines(
      (text) => {
        drawn += text;
      },
      () => 80,
      () => Date.now(),
    );
    status.report({ type: 'phase', subject: 'vm', phase: 'boot' });
    vi.advanceTimersByTime(75_000);
    for (const time of ['1 s', '42 s', '1:14 min']) expect(drawn).toContain(`vm: booting  ${time}`);
  } finally {
    vi.useRealTimers();
  }
});

test('plain lines: every 30 seconds how far each phase is', () => {
  vi.useFakeTimers();
  try {
    let text = '';
    const renderer = plainLines(
      (more) => {
        text += more;
      },
      () => Date.now(),
    );
    renderer.report({ type: 'phase', subject: 'vm', phase: 'boot' });
    vi.advanceTimersByTime(31_000);
    renderer.report({ type: 'phase', subject: 'vm', phase: 'unpack', total: GIB });
    renderer.report({ type: 'advance', subject: 'vm', phase: 'unpack', done: GIB / 4 });
    vi.advanceTimersByTime(61_000);
    renderer.report({ type: 'done', subject: 'vm', seconds: 92 });
    vi.advanceTimersByTime(61_000);
    renderer[Symbol.dispose]();
    expect(text.trimEnd().split('\n')).toEqual([
      'vm: booting',
      'vm: booting: 30 s',
      'vm: unpacking the disk (1.0 GiB)',
      'vm: unpacking the disk: 25 %, 256.0 MiB of 1.0 GiB, 8.5 MiB/s, 1:30 min left',
      'vm: unpacking the disk: 25 %, 256.0 MiB of 1.0 GiB, 4.3 MiB/s, 3:00 min left',
      'vm: done in 92.0 s',
    ]);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test('status lines: at most ten drawings a second, erased at the end', () => {
  vi.useFakeTimers();
  try {
    const writes: string[] = [];
    const renderer = statusLines(
      (text) => writes.push(text),
      () => 40,
    );
    renderer.report({ type: 'phase', subject: 'a', phase: 'patch', total: 1000 });
    renderer.report({ type: 'phase', subject: 'b', phase: 'unpack' });
    for (let step = 0; step < 1000; step++) {
      renderer.report({ type: 'advance', subject: 'a', phase: 'patch', done: step, total: 1000 });
      vi.advanceTimersByTime(1);
    }
    const drawings = writes.filter((text) => text.includes('patching'));
    expect(drawings.length).toBeLessThanOrEqual(10);
    expect(drawings.length).toBeGreaterThan(5);
    for (const drawing of drawings) {
      for (const line of drawing.split('\n')) expect(line.length).toBeLessThan(40);
    }
    renderer.report({ type: 'done', subject: 'a', seconds: 1 });
    expect(writes.join('')).toContain('a: patching, 1.0 s\n');
    vi.advanceTimersByTime(200);
    expect(writes.at(-1)).not.toContain('patching');
    const before = writes.length;
    renderer.aside(() => writes.push('RESULT\n'));
    expect(writes.slice(before).join('').endsWith('\x1b[2KRESULT\n')).toBe(true);
    vi.advanceTimersByTime(200);
    renderer[Symbol.dispose]();
    expect(writes.at(-1)).toBe('\r\x1b[2K');
    vi.advanceTimersByTime(1000);
    expect(writes.at(-1)).toBe('\r\x1b[2K');
  } finally {
    vi.useRealTimers();
  }
});

const PATCHING = { type: 'phase', subject: 'qemu', phase: 'patch', total: 100 } as const;

test('several architectures: each line names its own, and those of a failed one disappear', () => {
  let plain = '';
  using lines = plainLines((more) => {
    plain += more;
  });
  lines.report({ ...PATCHING, architecture: 's390x' });
  lines.report({ type: 'phase', subject: 's390x vm', phase: 'boot', architecture: 's390x' });
  lines.report({ type: 'failed', subject: 's390x', message: 'silent', architecture: 's390x' });
  expect(plain).toBe('s390x qemu: patching (100 B)\ns390x vm: booting\ns390x: failed: silent\n');

  const events: { done?: number; architecture?: string }[] = [];
  using json = jsonLines(
    (line) => events.push(JSON.parse(line)),
    () => 0,
  );
  for (const architecture of ['s390x', 'aarch64'] as const) {
    json.report({ type: 'advance', subject: 'qemu', phase: 'patch', done: 5, architecture });
  }
  expect(events.map(({ architecture }) => architecture)).toEqual(['s390x', 'aarch64']);

  vi.useFakeTimers();
  try {
    let drawn = '';
    using status = statusLines(
      (text) => {
        drawn += text;
      },
      () => 80,
    );
    const drawings = () => {
      drawn = '';
      vi.advanceTimersByTime(200);
      return drawn;
    };
    for (const architecture of ['s390x', 'aarch64'] as const) {
      status.report({ ...PATCHING, architecture });
      status.report({ type: 'phase', subject: `${architecture} vm`, phase: 'boot', architecture });
    }
    const all = drawings();
    for (const text of ['s390x qemu: ', 's390x vm: ', 'aarch64 qemu: ', 'aarch64 vm: ']) {
      expect(all).toContain(text);
    }
    status.report({ type: 'failed', subject: 's390x', message: 'silent', architecture: 's390x' });
    const rest = drawings();
    expect(rest).not.toContain('s390x');
    expect(rest).toContain('aarch64 qemu: ');
    expect(rest).toContain('aarch64 vm: ');
  } finally {
    vi.useRealTimers();
  }
});
