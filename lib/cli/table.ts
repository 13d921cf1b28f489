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

/** The same within so many characters: columns that find no room make another table, which repeats the first one. */
export function tableWithin(most: number, align: string, rows: readonly (readonly string[])[]): string {
  const width = (i: number) => rows.reduce((widest, row) => Math.max(widest, row[i]!.length), 0);
  const parts: number[][] = [];
  let room = 0;
  for (let i = 1; i < rows[0]!.length; i++) {
    const needed = 2 + width(i);
    if (parts.length === 0 || room < needed) {
      parts.push([0]);
      room = most - width(0);
    }
    parts.at(-1)!.push(i);
    room -= needed;
  }
  return parts
    .map((columns) =>
      table(
        align,
        rows.map((row) => columns.map((i) => row[i]!)),
      ),
    )
    .join('\n');
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
