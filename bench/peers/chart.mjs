// The chart: time per element against the length of the row, both logarithmic, with the limits of memory (the grey area
// below memcpy, and the caches that row and result fit into); and the page around it.
import { singleRows } from './rows.mjs';
import { HEADINGS, caseName, cells, duration, number } from './table.mjs';

export const WIDTH = 1170;
const HEIGHT = 700;
export const PLOT = { left: 84, right: 826, top: 112, bottom: 606 };
export const LABEL_GAP = 19; // between the baselines of two labels
const BYTES_PER_ELEMENT = 8; // four read, four written

// Okabe & Ito's palette, which colour-blind readers can tell apart; shapes and labels repeat the distinction.
export const STYLES = [
  [/^memcpy/, { color: '#666666', dash: '7 4', shape: 'none' }],
  [/^flash-softmax js/, { color: '#D55E00', dash: '2 4', shape: 'circle' }],
  [/^flash-softmax scalar/, { color: '#D55E00', dash: '8 3 2 3', shape: 'circle' }],
  [/^flash-softmax/, { color: '#D55E00', shape: 'circle' }],
  [/^oneDNN/, { color: '#000000', shape: 'square' }],
  [/^onnxruntime/, { color: '#0072B2', shape: 'diamond' }],
  [/^tfjs/, { color: '#009E73', shape: 'triangle' }],
  [/^Math\.exp/, { color: '#56B4E9', shape: 'square' }],
  [/^transformers/, { color: '#CC79A7', shape: 'diamond' }],
];
export const SHAPES = {
  none: () => '',
  circle: (x, y, r) => `<circle cx="${x}" cy="${y}" r="${r}"/>`,
  square: (x, y, r) => `<rect x="${x - r}" y="${y - r}" width="${2 * r}" height="${2 * r}"/>`,
  diamond: (x, y, r) =>
    `<path d="M${x} ${y - 1.3 * r}l${1.3 * r} ${1.3 * r}l${-1.3 * r} ${1.3 * r}l${-1.3 * r} ${-1.3 * r}z"/>`,
  triangle: (x, y, r) => `<path d="M${x} ${y - 1.3 * r}l${1.3 * r} ${2.3 * r}h${-2.6 * r}z"/>`,
};

const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const round = (value) => Math.round(value * 10) / 10;
const bytes = (size) => (size >= 2 ** 20 ? `${size / 2 ** 20} MiB` : `${size / 2 ** 10} KiB`);
export const power = (value) =>
  ['10', '100', '1 k', '10 k', '100 k', '1 M', '10 M', '100 M'][Math.round(Math.log10(value)) - 1];
export const powersBetween = (low, high) => {
  const powers = [];
  for (let e = Math.ceil(Math.log10(low) - 1e-9); e <= Math.log10(high) + 1e-9; e++) powers.push(10 ** e);
  return powers;
};

export function logScale(low, high, from, to) {
  const perUnit = (to - from) / Math.log(high / low);
  return (value) => round(from + Math.log(value / low) * perUnit);
}

export function text(x, y, content, attributes = '') {
  return `<text x="${x}" y="${y}" ${attributes}>${escape(content)}</text>`;
}

// A second way to call the package is in the tables; its line would lie on the first one.
const isDrawn = ({ name }) => !name.endsWith('new result');

/** One line per peer: its points as [length, seconds per element], from the single-row cases. */
function seriesOf(report) {
  const rows = singleRows(report);
  return report.peers
    .filter(isDrawn)
    .map((peer) => {
      const points = rows.flatMap(({ cols, results }) =>
        results.filter(({ name }) => name === peer.name).map(({ seconds }) => [cols, seconds / cols]),
      );
      return { ...peer, points, ...STYLES.find(([pattern]) => pattern.test(peer.name))[1] };
    })
    .filter(({ points }) => points.length > 0);
}

/** The y of each label, at least a gap apart, in order, and as near to the wished ones as possible. */
export function apart(wished, gap, low, high) {
  const order = wished.map((y, i) => [y, i]).sort(([a], [b]) => a - b);
  const placed = [];
  const groups = order.map(([y, i]) => ({ center: y, members: [i] }));
  for (let merged = true; merged;) {
    merged = false;
    for (const group of groups) {
      const half = ((group.members.length - 1) * gap) / 2;
      group.center = Math.min(Math.max(group.center, low + half), high - half);
    }
    for (let k = 0; k + 1 < groups.length; k++) {
      const [a, b] = [groups[k], groups[k + 1]];
      if (b.center - a.center >= ((a.members.length + b.members.length) / 2) * gap - 1e-6) continue;
      const members = [...a.members, ...b.members];
      groups.splice(k, 2, { center: members.reduce((sum, i) => sum + wished[i], 0) / members.length, members });
      merged = true;
      break;
    }
  }
  for (const { center, members } of groups) {
    members.forEach((i, k) => (placed[i] = round(center + (k - (members.length - 1) / 2) * gap)));
  }
  return placed;
}

function cacheBands(caches, x, low, high) {
  const limits = [low, ...caches.map((size) => size / BYTES_PER_ELEMENT), high];
  const names = [...caches.map((size, i) => [`L${i + 1}`, bytes(size)]), ['memory', '']];
  return names
    .map(([name, size], i) => {
      const from = x(Math.min(Math.max(limits[i], low), high));
      const to = x(Math.min(Math.max(limits[i + 1], low), high));
      if (to - from < 1) return '';
      const middle = round((from + to) / 2);
      return (
        `<rect x="${from}" y="${PLOT.top}" width="${round(to - from)}" height="${PLOT.bottom - PLOT.top}"` +
        ` fill="${i % 2 ? '#ffffff' : '#f5f7fa'}"/>` +
        (i > 0 ? `<path d="M${from} ${PLOT.top - 26}V${PLOT.bottom}" stroke="#9aa5b1" stroke-dasharray="3 3"/>` : '') +
        text(
          middle,
          PLOT.top - (size ? 21 : 13),
          name,
          'text-anchor="middle" font-size="13" font-weight="600" fill="#52606d"',
        ) +
        (size ? text(middle, PLOT.top - 7, size, 'text-anchor="middle" font-size="12" fill="#52606d"') : '')
      );
    })
    .join('\n');
}

function axes(x, y, [left, right], [low, high]) {
  const vertical = powersBetween(left, right).map(
    (value) =>
      `<path d="M${x(value)} ${PLOT.bottom}v6" stroke="#52606d"/>` +
      text(x(value), PLOT.bottom + 23, power(value), 'text-anchor="middle"'),
  );
  const horizontal = powersBetween(low, high).map(
    (value) =>
      `<path d="M${PLOT.left} ${y(value)}H${PLOT.right}" stroke="#d5dbe1"/>` +
      text(PLOT.left - 10, y(value) + 5, duration(value).replace(/\.0+ /, ' '), 'text-anchor="end"'),
  );
  return [
    ...horizontal,
    ...vertical,
    `<path d="M${PLOT.left} ${PLOT.bottom}H${PLOT.right}" stroke="#52606d"/>`,
    text((PLOT.left + PLOT.right) / 2, PLOT.bottom + 50, 'length of the row (elements)', 'text-anchor="middle"'),
    text(
      0,
      0,
      'time per element',
      `text-anchor="middle" transform="translate(22 ${(PLOT.top + PLOT.bottom) / 2}) rotate(-90)"`,
    ),
  ].join('\n');
}

export const strokeOf = ({ color, dash, isSelected }) =>
  `stroke="${color}" stroke-width="${isSelected ? 4 : 2}"${dash ? ` stroke-dasharray="${dash}"` : ''}`;

function line({ name, version, points, color, dash, shape, isSelected }, x, y) {
  const path = points.map(([n, t], i) => `${i ? 'L' : 'M'}${x(n)} ${y(t)}`).join('');
  const radius = isSelected ? 5 : 3.5;
  const marks = points.map(([n, t]) => {
    const title = escape(`${name} ${version}: ${number.format(n)} elements, ${duration(t)} each`);
    return `<g><title>${title}</title>${SHAPES[shape](x(n), y(t), radius)}</g>`;
  });
  return (
    `<path d="${path}" fill="none" ${strokeOf({ color, dash, isSelected })} stroke-linejoin="round"/>` +
    `<g fill="${color}" stroke="#ffffff" stroke-width="1">${marks.join('')}</g>`
  );
}

function labels(series, x, y) {
  const ends = series.map(({ points }) => points.at(-1));
  const ys = apart(
    ends.map(([, t]) => y(t)),
    LABEL_GAP,
    PLOT.top + 4,
    PLOT.bottom - 4,
  );
  return series
    .map(({ name, color, dash, shape, isSelected }, i) => {
      const [n, t] = ends[i];
      const swatch = PLOT.right + 40;
      return (
        `<path d="M${x(n) + 7} ${y(t)}L${PLOT.right + 22} ${ys[i]}" stroke="${color}" stroke-opacity="0.6"/>` +
        `<path d="M${PLOT.right + 26} ${ys[i]}h28" ${strokeOf({ color, dash, isSelected })}/>` +
        `<g fill="${color}">${SHAPES[shape](swatch, ys[i], isSelected ? 5 : 4)}</g>` +
        text(PLOT.right + 62, ys[i] + 5, `${name} · ${duration(t)}`, isSelected ? 'font-weight="700"' : '')
      );
    })
    .join('\n');
}

const FONT_FAMILY = "system-ui, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif";
export const FONT = `font-family="${FONT_FAMILY}" font-size="14" fill="#1f2933"`;
const LABEL = 'Softmax time per element against row length';
const SCALES = 'Lower is better; both axes are logarithmic.';
const LEGEND =
  'Bands: the smallest cache that holds the row and its result. Grey: faster than copying the row, from JavaScript. ' +
  'Right: at the longest row.';

/** The chart as a self-contained SVG. */
export function chart(report) {
  const series = seriesOf(report);
  const lengths = series.flatMap(({ points }) => points.map(([n]) => n));
  const times = series.flatMap(({ points }) => points.map(([, t]) => t));
  const across = [Math.min(...lengths), Math.max(...lengths)];
  const up = [Math.min(...times) / 1.5, Math.max(...times) * 1.5];
  const x = logScale(...across, PLOT.left, PLOT.right);
  const y = logScale(...up, PLOT.bottom, PLOT.top);
  const ground = series.find(({ name }) => name === 'memcpy').points;
  const { machine, threads } = report;
  const size = `viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}"`;
  const threadText = threads === 1 ? 'one thread' : `${threads} threads`;
  const subtitle = `${machine.processor}, ${threadText}, Node ${machine.node.slice(1)}. ${SCALES}`;
  const outline = ground.map(([n, t]) => `L${x(n)} ${y(t)}`).join('');
  const area = `M${PLOT.left} ${PLOT.bottom}${outline}V${PLOT.bottom}z`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${FONT} role="img" aria-label="${LABEL}">
<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>
${text(PLOT.left, 34, 'Softmax of one float32 row: time per element', 'font-size="21" font-weight="700"')}
${text(PLOT.left, 58, subtitle, 'fill="#52606d"')}
${cacheBands(machine.caches, x, ...across)}
<path d="${area}" fill="#000000" fill-opacity="0.08"/>
${axes(x, y, across, up)}
${[...series]
  .sort((a, b) => Number(a.isSelected ?? 0) - Number(b.isSelected ?? 0))
  .map((peer) => line(peer, x, y))
  .join('\n')}
${labels(series, x, y)}
${text(PLOT.left, HEIGHT - 14, LEGEND, 'font-size="12" fill="#52606d"')}
</svg>
`;
}

/** The chart and all measured figures as one self-contained HTML page. */
export function page(report, picture) {
  const keys = Object.keys(HEADINGS);
  const tables = report.cases.map(
    (measured) => `<table><caption>${caseName(measured)}</caption>
<tr>${keys.map((key) => `<th>${HEADINGS[key]}</th>`).join('')}</tr>
${cells(measured, report)
  .map((row) => `<tr>${keys.map((key) => `<td>${escape(row[key])}</td>`).join('')}</tr>`)
  .join('\n')}
</table>`,
  );
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>flash-softmax and its peers</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 1080px; margin: 2rem auto; padding: 0 1rem }
svg { max-width: 100%; height: auto }
table { border-collapse: collapse; margin: 2rem 0 } caption { text-align: left; font-weight: 700; padding-bottom: .3rem }
td, th { padding: .15rem .8rem; text-align: right; border-top: 1px solid #d5dbe1; font-variant-numeric: tabular-nums }
td:first-child { text-align: left; padding-left: 0 }
</style>
${picture}
<p>${escape(report.peers.map(({ name, version }) => `${name} (${version})`).join(', '))}. Logits N(0, ${report.deviation}); every result was
checked against a double-precision oracle before it was timed; samples of all peers were interleaved; medians.</p>
${tables.join('\n')}
</html>
`;
}
