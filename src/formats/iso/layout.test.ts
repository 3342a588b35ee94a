import { expect, test } from 'vitest';
import { parseIns, parseTreeinfo } from './layout.ts';

test('.treeinfo', () => {
  const text = `[header]
type = productmd.treeinfo

[general]
; comment
arch = s390x
family = Fedora

[images-s390x]
initrd = images/initrd.img
kernel=images/kernel.img
[images-x86_64]
kernel = images/pxeboot/vmlinuz
`;
  expect(parseTreeinfo(text)).toEqual({
    arch: 's390x',
    kernel: 'images/kernel.img',
    initrd: 'images/initrd.img',
  });
  expect(parseTreeinfo('[general]\narch = mips\n').arch).toBeUndefined();
  expect(parseTreeinfo('\0\n[[=]=\n=x\n')).toEqual({});
});

test('generic.ins', () => {
  const text = `* minimal lpar ins file
images/kernel.img 0x00000000
images/initrd.img 0x02000000
images/genericdvd.prm 0x00010480
images/initrd.addrsize 0x00010408
`;
  expect(parseIns(text)).toEqual({ kernel: 'images/kernel.img', initrd: 'images/initrd.img' });
  expect(parseIns('')).toEqual({});
});
