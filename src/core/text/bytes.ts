const UNITS = ['KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `3,932 B`, `76.3 KiB`, `16.0 GiB`: exact while that is short. */
export function formatBytes(bytes: number): string {
  if (bytes < 10_000) return `${bytes.toLocaleString('en-US')} B`;
  let value = bytes;
  let unit = '';
  for (const next of UNITS) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${value.toFixed(1)} ${unit}`;
}

/** `0.004 %`, `71.7 %`: two significant digits at least, however small. */
export function formatShare(part: number, whole: number): string {
  if (whole === 0) return '-';
  const percent = (part / whole) * 100;
  if (percent === 0) return '0 %';
  const digits = percent >= 10 ? 1 : Math.min(6, 1 - Math.floor(Math.log10(percent)));
  return `${percent.toFixed(digits)} %`;
}
