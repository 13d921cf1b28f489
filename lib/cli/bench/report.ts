/** What `bench` found, as text, Markdown, CSV and JSON. */
import { capabilities } from '../../index.js';
import { largestOf, leastOf } from '../../math/extremes.js';
import { significant, table, tableWithin } from '../table.js';
import type { Timing } from '../measure.js';
import type { Base } from './compare.js';
import { LOOP, MEMCPY, type Line, type Measured } from './field.js';
import { shapeText } from './work.js';

const TERMINAL = 80; // columns

/** The median of a contender at a shape: nanoseconds an element, or microseconds a call. */
export function figure({ work }: Measured, { elements }: Line, milliseconds: number): number {
  return work.isByElement ? (milliseconds * 1e6) / elements : milliseconds * 1e3;
}

export const unitOf = ({ work }: Measured): string =>
  work.isByElement ? 'nanoseconds per element' : 'microseconds per call';

/** One line: the machine, the work, who runs. */
export function heading({ work, dtype, threads }: Measured): string {
  const { processor, backend } = capabilities();
  const count = threads === 1 ? 'one thread' : `${threads} threads`;
  return `${processor}; node ${process.version}; ${work.name} of ${dtype}; ${count}; ${backend} runs`;
}

type Cell = (timing: Timing, line: Line, name: string) => string | undefined;

/** A line for each shape, a column for each contender but those of `without`. */
function grid(measured: Measured, without: readonly string[], cell: Cell): string[][] {
  const names = measured.field.filter((name) => !without.includes(name));
  return [
    [measured.work.axes.join(' × ').toLowerCase(), ...names],
    ...measured.lines.map((line) => [
      shapeText(measured.work, line.shape),
      ...names.map((name) => {
        const timing = line.timings.get(name);
        return (timing && cell(timing, line, name)) ?? '–';
      }),
    ]),
  ];
}

const spread = ({ median, lower, upper }: Timing): string => `±${((50 * (upper - lower)) / median).toFixed(0)}%`;

/** How many times as fast as a yardstick, or as slow. */
const ratioTo =
  (name: string, of: (median: number, yardstick: number) => number): Cell =>
  (timing, { timings }) => {
    const yardstick = timings.get(name);
    return yardstick && significant(of(timing.median, yardstick.median));
  };

/** Titles and tables of everything that is told. */
function grids(measured: Measured, base: Base | undefined): { title: string; rows: string[][] }[] {
  const rounds = measured.lines.flatMap(({ timings }) => [...timings.values()].map((timing) => timing.rounds));
  const times = `${unitOf(measured)}: median of ${leastOf(rounds)} … ${largestOf(rounds)} rounds`;
  const told = [
    {
      title: `${times} ± half the interquartile range`,
      rows: grid(measured, [], (timing, line) => {
        return `${significant(figure(measured, line, timing.median))} ${spread(timing)}`;
      }),
    },
    {
      title: 'ratio to memcpy of what is read',
      rows: grid(
        measured,
        [MEMCPY],
        ratioTo(MEMCPY, (median, yardstick) => median / yardstick),
      ),
    },
    {
      title: 'times as fast as a plain loop',
      rows: grid(
        measured,
        [MEMCPY, LOOP],
        ratioTo(LOOP, (median, yardstick) => yardstick / median),
      ),
    },
  ];
  if (base === undefined) return told;
  const { work, dtype } = measured;
  const older = grid(measured, [MEMCPY, LOOP], ({ median }, { shape }, contender) => {
    const before = base.median({ work: work.name, dtype, shape, contender });
    return before === undefined ? undefined : significant(median / before);
  });
  return [...told, { title: `ratio to ${base.name}: above 1 is slower than then`, rows: older }];
}

export function text(measured: Measured, base: Base | undefined): string {
  const parts = grids(measured, base).map(({ title, rows }) => `${title}\n${tableWithin(TERMINAL, 'r', rows)}`);
  return `${heading(measured)}\n\n${parts.join('\n')}`;
}

export function markdown(measured: Measured, base: Base | undefined): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`;
  const parts = grids(measured, base).map(({ title, rows: [head, ...lines] }) => {
    return `${title}\n\n${row(head!)}${row(head!.map((_, i) => (i ? '--:' : '---')))}${lines.map(row).join('')}`;
  });
  return `${heading(measured)}\n\n${parts.join('\n')}`;
}

/** A record for each shape and contender. */
function records({ work, dtype, field, lines }: Measured): Record<string, unknown>[] {
  return lines.flatMap(({ shape, elements, timings }) =>
    field.flatMap((contender) => {
      const timing = timings.get(contender);
      if (timing === undefined) return [];
      const { min, lower, median, upper, rounds } = timing;
      const each = (divisor: number) => ({
        min: (min * 1e6) / divisor,
        lowerQuartile: (lower * 1e6) / divisor,
        median: (median * 1e6) / divisor,
        upperQuartile: (upper * 1e6) / divisor,
      });
      return [
        {
          work: work.name,
          dtype,
          shape,
          elements,
          contender,
          nanoseconds: each(1),
          nanosecondsPerElement: each(elements),
          timesMemcpy: median / timings.get(MEMCPY)!.median,
          rounds,
        },
      ];
    }),
  );
}

export function csv(measured: Measured): string {
  const head =
    'work,dtype,shape,contender,elements,min_ns,lower_quartile_ns,median_ns,upper_quartile_ns,times_memcpy,rounds';
  const text = records(measured).map((each) => {
    const { work, dtype, shape, contender, elements, nanoseconds, timesMemcpy, rounds } = each as {
      [name: string]: string;
    } & { shape: number[]; nanoseconds: Record<string, number> };
    return [
      work,
      dtype,
      shape.join('x'),
      contender,
      elements,
      ...Object.values(nanoseconds),
      timesMemcpy,
      rounds,
    ].join();
  });
  return [head, ...text, ''].join('\n');
}

export function json(measured: Measured): string {
  const { processor, caches, backend } = capabilities();
  const { threads } = measured;
  const report = { processor, caches, node: process.version, backend, threads, results: records(measured) };
  return `${JSON.stringify(report, null, 2)}\n`;
}

/** Bars for a terminal: the time of each contender at each shape, the longest of a shape over the whole width. */
export function bars(measured: Measured): string {
  const width = largestOf(measured.field.map((name) => name.length));
  const room = TERMINAL - width - 12;
  const parts = measured.lines.map((line) => {
    const times = [...line.timings].map(([name, { median }]) => [name, figure(measured, line, median)] as const);
    const longest = largestOf(times.map(([, time]) => time));
    const rows = times.map(([name, time]) => [name, bar((time / longest) * room), significant(time)]);
    return `${shapeText(measured.work, line.shape)}, ${unitOf(measured)}\n${table('rlr', rows)}`;
  });
  return parts.join('\n');
}

/** A bar in eighths of a character, at least one. */
function bar(length: number): string {
  const eighths = Math.max(1, Math.round(8 * length));
  return '█'.repeat(eighths >> 3) + ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths & 7]!;
}
