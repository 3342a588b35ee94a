import { expect, test } from 'vitest';
import { createJudge, findBadness } from './badness.ts';

test.each([
  ['[    4.769701] Kernel panic - not syncing: VFS: Unable to mount root fs', 'kernel panic'],
  ['[   10.0] Oops: 0002 [#1] PREEMPT SMP NOPTI', 'kernel oops'],
  ['[   10.0] Internal error: Oops: 96000004 [#1] SMP', 'kernel oops'],
  ['[   11.0] coreos-installe invoked oom-killer: gfp_mask=0x0', 'out of memory'],
  ['[   11.0] Out of memory: Killed process 812 (coreos-installe)', 'out of memory'],
  ['Press Enter for emergency shell or wait 5 minutes for reboot.', 'emergency shell'],
  ['You are in emergency mode. After logging in, type "journalctl -xb"', 'emergency shell'],
  ['         Starting emergency.service - Emergency Shell...', 'emergency shell'],
  ['         Starting Dracut Emergency Shell...', 'emergency shell'],
  ['         Starting dracut-emergency.service - Dracut Emergency Shell...', 'emergency shell'],
  ['dracut: Refusing to continue', 'dracut gave up'],
  ['dracut-initqueue[312]: Warning: dracut-initqueue timed out', 'slow initramfs'],
  ['(initramfs) ', 'initramfs shell'],
  ['[  9.1] I/O error, dev vda, sector 1234 op 0x0:(READ)', 'disk I/O error'],
  ['[  9.1] Buffer I/O error on dev vdb, logical block 0', 'disk I/O error'],
  ['[  9.1] SQUASHFS error: xz decompression failed', 'unreadable live file system'],
  ['systemd[1]: local-fs.target: Ordering cycle found, skipping', 'systemd ordering cycle'],
  [
    '(sd-executor)[1]: /usr/lib/systemd/system-generators/x failed with exit status 1.',
    'systemd generator failure',
  ],
  ['[!!!!!!] Failed to execute /init, giving up', 'systemd froze'],
])('%s', (line, name) => {
  expect(findBadness(line)?.name).toBe(name);
});

test.each([
  ['[    0.0] Kernel command line: panic=-1 oops=panic coreos.liveiso=x'],
  ['[  9.1] blk_update_request: I/O error, dev fd0, sector 0'],
  ['[  OK  ] Reached target emergency-readiness.target'],
  ['localhost login: core (automatic login)'],
  ['[    1.2] Using drop-monitor service; oops_count sysfs ready'],
])('lets pass: %s', (line) => {
  expect(findBadness(line)).toBeUndefined();
});

test('only messages that end a boot end a run; of the rest, the first of each kind is reported', () => {
  const judge = createJudge();
  expect(judge.take('[   10.0] Oops: 0002 [#1] SMP')?.badness.ends).toBe(false);
  expect(judge.take('[   11.0] Oops: 0003 [#2] SMP')).toBeUndefined();
  expect(judge.take('systemd[1]: a: Ordering cycle found, skipping')?.badness.ends).toBe(false);
  expect(judge.complaints.map(({ line }) => line)).toEqual([
    '[   10.0] Oops: 0002 [#1] SMP',
    'systemd[1]: a: Ordering cycle found, skipping',
  ]);
  expect(judge.take('[   12.0] Kernel panic - not syncing: x')?.badness.ends).toBe(true);
  expect(findBadness('Failed to execute /init (error -2)')).toBeUndefined();
});
