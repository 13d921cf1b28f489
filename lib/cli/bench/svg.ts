/** The times of `bench` as a picture: a group of bars for each shape. It follows the reader's light or dark scheme. */
import { largestOf } from '../../math/extremes.js';
import { significant } from '../table.js';
import type { Measured } from './field.js';
import { figure, heading, unitOf } from './report.js';
import { shapeText } from './work.js';

const WIDTH = 800;
const LINE = 22; // pixels from bar to bar
const NAMES = 150; // pixels left of the bars
const FIGURES = 70; // pixels right of them
const TOP = 74;
const TITLE = 34; // of a group

// Okabe and Ito's palette, which colour-blind readers can tell apart.
const COLOURS = ['#999999', '#56b4e9', '#e69f00', '#009e73', '#0072b2', '#cc79a7', '#d55e00'];

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

const at = (x: number, y: number, text: string, more = ''): string =>
  `<text x="${x}" y="${y}"${more}>${escaped(text)}</text>`;

export function svg(measured: Measured): string {
  const { work, field, lines } = measured;
  const parts: string[] = [];
  let y = TOP;
  for (const line of lines) {
    parts.push(
      at(0, y + 18, `${work.axes.join(' × ').toLowerCase()} = ${shapeText(work, line.shape)}`, ' class="group"'),
    );
    y += TITLE;
    const times = [...line.timings].map(([name, { median }]) => [name, figure(measured, line, median)] as const);
    const longest = largestOf(times.map(([, time]) => time));
    for (const [name, time] of times) {
      const length = Math.max(1, ((WIDTH - NAMES - FIGURES) * time) / longest);
      const colour = COLOURS[field.indexOf(name) % COLOURS.length]!;
      const bar = `<rect x="${NAMES}" y="${y}" width="${length.toFixed(1)}" height="${LINE - 6}" fill="${colour}"/>`;
      const label = at(NAMES - 8, y + 13, name, ' text-anchor="end"');
      parts.push(label, bar, at(Math.round(NAMES + length + 6), y + 13, significant(time)));
      y += LINE;
    }
  }
  const title = `${work.name}: ${unitOf(measured)}`;
  const box = `viewBox="0 0 ${WIDTH} ${y + 10}" role="img" aria-label="${escaped(title)}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${box}>
<style>
svg { font: 14px system-ui, sans-serif; background: #fff; }
text { fill: #222; } .title { font-size: 20px; font-weight: 600; } .group { font-weight: 600; }
@media (prefers-color-scheme: dark) { svg { background: #1b1b1f; } text { fill: #eee; } }
</style>
${at(0, 24, title, ' class="title"')}
${at(0, 48, `${heading(measured)}. Shorter is better.`)}
${parts.join('\n')}
</svg>
`;
}
