/** The samples of a soak (soak.mjs) as a picture: a curve over time for each figure, in the style of `bench --svg`. */
const WIDTH = 800;
const NAMES = 170; // pixels left of the curves
const FIGURES = 70; // pixels right of them
const HEIGHT = 56; // of a curve
const GAP = 20;
const TOP = 74;

const CURVES = [
  ['rss', 'memory (RSS), MB'],
  ['external', 'external memory, MB'],
  ['heap', 'heap of V8, MB'],
  ['threads', 'threads'],
  ['handles', 'handles'],
  ['files', 'open files'],
  ['p99', 'p99 of a call, µs'],
];

/** A curve from 0 to its largest value, with its name and that value beside it. */
function curve(samples, name, title, y) {
  const last = samples.at(-1).minute;
  const most = samples.reduce((high, each) => Math.max(high, each[name]), 1);
  const points = samples.map((each) => {
    const across = NAMES + ((WIDTH - NAMES - FIGURES) * each.minute) / last;
    return `${across.toFixed(1)},${(y + HEIGHT - (HEIGHT * each[name]) / most).toFixed(1)}`;
  });
  const line = y + HEIGHT;
  return `<line x1="${NAMES}" y1="${line}" x2="${WIDTH - FIGURES}" y2="${line}" stroke="#999999"/>
<polyline points="${points.join(' ')}" fill="none" stroke="#0072b2" stroke-width="1.5"/>
<text x="${NAMES - 8}" y="${y + HEIGHT / 2}" text-anchor="end">${title}</text>
<text x="${WIDTH - FIGURES + 6}" y="${y + 10}">${most.toFixed(0)}</text>
<text x="${WIDTH - FIGURES + 6}" y="${line}">0</text>`;
}

export function soakChart(samples, subject) {
  const curves = CURVES.map(([name, title], i) => curve(samples, name, title, TOP + i * (HEIGHT + GAP)));
  const height = TOP + CURVES.length * (HEIGHT + GAP) + 10;
  const length = `${samples.at(-1).minute.toFixed(0)} minutes, ${samples.length} rounds`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="A soak">
<style>
svg { font: 14px system-ui, sans-serif; background: #fff; }
text { fill: #222; } .title { font-size: 20px; font-weight: 600; }
@media (prefers-color-scheme: dark) { svg { background: #1b1b1f; } text { fill: #eee; } }
</style>
<text x="0" y="24" class="title">What a process has while the package is used without a pause</text>
<text x="0" y="48">${subject}: ${length}</text>
${curves.join('\n')}
</svg>
`;
}
