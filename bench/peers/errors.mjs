// The chart of errors: the largest error of a row against its length, both logarithmic, in units of the exact result's
// last place. Data and styles are those of chart.mjs.
import {
  FONT,
  LABEL_GAP,
  PLOT,
  SHAPES,
  STYLES,
  WIDTH,
  apart,
  logScale,
  power,
  powersBetween,
  strokeOf,
  text,
} from './chart.mjs';
import { singleRows } from './rows.mjs';

const HEIGHT = 560;
const BOTTOM = 470;
const LEAST = 0.25;
const TICKS = [0.5, 1, 2, 10, 100];
const BOUND = 2; // units in the last place, which the package promises of all but named rows

const isShown = ({ name }) => !/^memcpy|scalar|avx2|new result/.test(name); // these have the bits of avx512

function seriesOf(report) {
  const rows = singleRows(report);
  const errorsOf = (name) =>
    rows.flatMap(({ cols, results }) => results.filter((result) => result.name === name).map(({ ulp }) => [cols, ulp]));
  return report.peers
    .filter(isShown)
    .map((peer) => ({ ...peer, points: errorsOf(peer.name), ...STYLES.find(([name]) => name.test(peer.name))[1] }));
}

function axes(x, y, lengths) {
  const horizontal = TICKS.map(
    (value) =>
      `<path d="M${PLOT.left} ${y(value)}H${PLOT.right}" stroke="${value === BOUND ? '#D55E00' : '#d5dbe1'}"/>` +
      text(PLOT.left - 10, y(value) + 5, String(value), 'text-anchor="end"'),
  );
  const vertical = powersBetween(...lengths).map(
    (value) =>
      `<path d="M${x(value)} ${BOTTOM}v6" stroke="#52606d"/>` +
      text(x(value), BOTTOM + 23, power(value), 'text-anchor="middle"'),
  );
  return [
    ...horizontal,
    ...vertical,
    text(PLOT.left + 8, y(BOUND) - 6, 'promised: 2', 'font-size="12" fill="#D55E00"'),
    text((PLOT.left + PLOT.right) / 2, BOTTOM + 50, 'length of the row (elements)', 'text-anchor="middle"'),
  ].join('\n');
}

function line({ points, color, shape, ...style }, x, y) {
  const path = points.map(([n, ulp], i) => `${i ? 'L' : 'M'}${x(n)} ${y(ulp)}`).join('');
  const marks = points.map(([n, ulp]) => SHAPES[shape](x(n), y(ulp), 3.5)).join('');
  return `<path d="${path}" fill="none" ${strokeOf({ color, ...style })}/><g fill="${color}">${marks}</g>`;
}

function labels(series, y) {
  const wished = series.map(({ points }) => y(points.at(-1)[1]));
  const ys = apart(wished, LABEL_GAP, PLOT.top, BOTTOM);
  const label = ({ name, color, points }, i) =>
    `<path d="M${PLOT.right + 4} ${wished[i]}L${PLOT.right + 22} ${ys[i]}h12" fill="none" stroke="${color}"/>` +
    text(PLOT.right + 40, ys[i] + 5, `${name} · ${Number(points.at(-1)[1].toPrecision(2))}`);
  return series.map(label).join('\n');
}

/** The chart as a self-contained SVG. */
export function errorChart(report) {
  const series = seriesOf(report);
  const lengths = series.flatMap(({ points }) => points.map(([n]) => n));
  const across = [Math.min(...lengths), Math.max(...lengths)];
  const most = Math.max(...series.flatMap(({ points }) => points.map(([, ulp]) => ulp)));
  const x = logScale(...across, PLOT.left, PLOT.right);
  const y = logScale(LEAST, most * 1.2, BOTTOM, PLOT.top - 30);
  const title = 'Softmax of one float32 row: the largest error';
  const { machine, deviation } = report;
  const given = `logits N(0, ${deviation}), ${machine.processor}`;
  const subtitle = `Units in the last place of the exact result, ${given}. Lower is better.`;
  const size = `viewBox="0 0 ${WIDTH} ${HEIGHT}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${FONT} role="img" aria-label="${title}">
<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>
${text(PLOT.left, 34, title, 'font-size="21" font-weight="700"')}
${text(PLOT.left, 58, subtitle, 'fill="#52606d"')}
${axes(x, y, across)}
${series.map((each) => line(each, x, y)).join('\n')}
${labels(series, y)}
</svg>
`;
}
