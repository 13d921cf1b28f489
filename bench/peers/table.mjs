// One measured case as lines of text.

export const number = new Intl.NumberFormat('en');

/** Three significant digits and a unit: 8.65 µs. */
export function duration(seconds) {
  const [unit, scale] = [
    ['s', 1],
    ['ms', 1e3],
    ['µs', 1e6],
    ['ns', 1e9],
    ['ps', 1e12],
  ].find(([, scale]) => seconds * scale >= 0.9995) ?? ['ps', 1e12];
  const value = seconds * scale;
  return `${value >= 999.5 ? value.toFixed(0) : value.toPrecision(3)} ${unit}`;
}

export function caseName({ rows, cols, kind }) {
  const size = rows === 1 ? `${number.format(cols)} logits` : `${number.format(rows)} rows of ${number.format(cols)}`;
  return kind === 'normal' ? size : `${size}, ${kind}`;
}

/** The cells of each row of a case, fastest first; `versus` is the time relative to flash-softmax's selected backend. */
export function cells(measured, { peers }) {
  const selected = peers.find(({ isSelected }) => isSelected)?.name;
  const ours = measured.results.find(({ name }) => name === selected)?.seconds;
  return [...measured.results]
    .sort((a, b) => a.seconds - b.seconds)
    .map((result) => ({
      name: result.name,
      time: duration(result.seconds),
      perElement: `${number.format(Number(((result.seconds / measured.rows / measured.cols) * 1e12).toPrecision(3)))} ps`,
      spread: `${duration(result.low)} – ${duration(result.high)}`,
      toMemcpy: result.toMemcpy.toFixed(2),
      versus: ours ? `${(result.seconds / ours).toFixed(2)}×` : '',
      ulp: result.ulp === null ? '' : result.ulp < 10 ? result.ulp.toFixed(2) : result.ulp.toFixed(0),
    }));
}

export const HEADINGS = {
  name: '',
  time: 'median',
  perElement: 'per element',
  spread: '10 % – 90 %',
  toMemcpy: '/ memcpy',
  versus: '/ ours',
  ulp: 'error, ULP',
};

export function table(measured, report) {
  const lines = [{ ...HEADINGS, name: caseName(measured) }, ...cells(measured, report)];
  const widths = Object.keys(HEADINGS).map((key) => [key, Math.max(...lines.map((line) => line[key].length))]);
  return lines
    .map((line) =>
      widths.map(([key, width]) => (key === 'name' ? line[key].padEnd(width) : line[key].padStart(width))).join('   '),
    )
    .join('\n');
}
