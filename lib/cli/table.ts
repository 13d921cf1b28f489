/** Text for people: tables with aligned columns, and numbers with few digits. */

/**
 * Columns two spaces apart. `align` has a letter for each column, l or r; the last one also for all later columns.
 * An empty row is a blank line.
 */
export function table(align: string, rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (let i = 0; i < row.length; i++) widths[i] = Math.max(widths[i] ?? 0, row[i]!.length);
  }
  const left = widths.map((_, i) => (align[i] ?? align.at(-1)) === 'l');
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (left[i] ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd();
  return rows.map((row) => `${line(row)}\n`).join('');
}

/** 128,256 */
export function grouped(n: number): string {
  return n.toLocaleString('en-US');
}

/** Three significant digits, and never an exponent: 0.0213, 1.48, 213, 5120. */
export function significant(x: number): string {
  if (x >= 100) return x.toFixed(0);
  return x === 0 ? '0' : x.toFixed(Math.max(0, 2 - Math.floor(Math.log10(x))));
}

/** 32 KiB, 1.5 MiB */
export function bytes(n: number): string {
  const unit = n >= 2 ** 20 ? 'MiB' : 'KiB';
  return `${Number((n / (unit === 'MiB' ? 2 ** 20 : 2 ** 10)).toFixed(1))} ${unit}`;
}
