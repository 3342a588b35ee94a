import { expect, test } from 'vitest';
import { formatBytes, formatShare } from './bytes.ts';
import { renderTable } from './table.ts';

test('columns are as wide as their widest cell, lines have no trailing blanks', () => {
  const rows = [
    { name: 'qemu', size: 5 },
    { name: 'a-long-name', size: 12_345 },
  ];
  const table = renderTable(
    [
      { title: 'NAME', cell: ({ name }: (typeof rows)[number]) => name },
      { title: 'SIZE', align: 'right', cell: ({ size }) => String(size) },
      { title: 'X', cell: () => '' },
    ],
    rows,
  );
  expect(table).toBe(
    ['NAME          SIZE  X', 'qemu             5', 'a-long-name  12345', ''].join('\n'),
  );
});

test('bytes', () => {
  expect(formatBytes(0)).toBe('0 B');
  expect(formatBytes(3932)).toBe('3,932 B');
  expect(formatBytes(78_132)).toBe('76.3 KiB');
  expect(formatBytes(17_179_869_696)).toBe('16.0 GiB');
  expect(formatBytes(107_374_182_400)).toBe('100.0 GiB');
});

test('shares keep two significant digits however small', () => {
  expect(formatShare(717, 1000)).toBe('71.7 %');
  expect(formatShare(5, 1000)).toBe('0.50 %');
  expect(formatShare(40, 84_704_256)).toBe('0.000047 %');
  expect(formatShare(0, 7)).toBe('0 %');
  expect(formatShare(1, 0)).toBe('-');
});
