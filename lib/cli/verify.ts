/** flash-softmax verify: shows on the user's own machine that what the package promises of its results holds there. */
import type { BackendName } from '../backend/backend.js';
import { availableBackends, backendNamed } from '../backend/select.js';
import type { Command } from './command.js';
import { bound, examine, holds, rows, SUM_BOUNDS, type Report, type Row, type Type } from './examine.js';
import { Progress } from './progress.js';
import { grouped, table } from './table.js';

const TYPE_NAMES: Record<Type, string> = { f32: 'float32', f64: 'float64' };

function rowText({ elements, kind, temperature }: Row): string {
  return `${grouped(elements)} × ${kind}${temperature === 1 ? '' : `, T = ${temperature}`}`;
}

function findingsText({ findings }: Report): string {
  const lines = findings.map((finding) => {
    const { backend, type, ulp, sumError, monotone, row } = finding;
    const verdict = holds(finding) ? 'holds' : 'BROKEN';
    const error = [ulp.toFixed(3), `≤ ${bound(finding)}`, rowText(row)];
    const rest = [
      sumError.toExponential(0),
      `≤ ${SUM_BOUNDS[type].toExponential(0)}`,
      monotone ? 'yes' : 'no',
      verdict,
    ];
    return [backend, TYPE_NAMES[type], ...error, ...rest];
  });
  return table('llrllrlll', [
    ['backend', 'type', 'ULP', 'bound', 'in the row', '|sum−1|', 'bound', 'monotone', ''],
    ...lines,
  ]);
}

function agreementText({ disagreements }: Report, natives: readonly BackendName[]): string {
  const first = disagreements[0];
  if (first) {
    const where = `the first of them ${TYPE_NAMES[first.type]} ${rowText(first.row)}`;
    return `BROKEN: ${first.backends.join(' and ')} do not give the same bits in ${disagreements.length} rows, ${where}`;
  }
  if (natives.length === 0) return 'no native backend on this machine (flash-softmax info says why)';
  if (natives.length === 1) return `${natives[0]} is the only native backend: nothing to compare its bits with`;
  return `${natives.join(', ')}: the same bits in every row`;
}

export const verify: Command = {
  name: 'verify',
  summary: 'Largest error of each backend on this machine, and whether the native ones agree bit for bit.',
  options: { json: { help: 'results for machines' } },
  notes: `Errors are in units of the last place (ULP) of the exact result. The exit status is 1 if a promise is broken:
an error or a sum beyond its bound, a smaller probability for a larger logit, native backends that differ in a bit.
`,
  run(given, _, { stdout, stderr }) {
    const start = performance.now();
    const names = availableBackends();
    const list = rows();
    const progress = new Progress(stderr);
    const report = examine(names.map(backendNamed), list, (type, row, index) => {
      progress.show(`${TYPE_NAMES[type]}: row ${index + 1} of ${list.length}, ${rowText(row)}`);
    });
    progress.clear();
    const ok = report.disagreements.length === 0 && report.findings.every(holds);

    if (given.has('json')) {
      const findings = report.findings.map((finding) => ({
        ...finding,
        bound: bound(finding),
        sumBound: SUM_BOUNDS[finding.type],
        ok: holds(finding),
      }));
      stdout.write(`${JSON.stringify({ ok, rows: list.length, ...report, findings }, null, 2)}\n`);
    } else {
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      const natives = names.filter((name) => name !== 'js');
      stdout.write(`${grouped(list.length)} rows of each type, of 1 … 1,000,000 logits, against double-double arithmetic

${findingsText(report)}
${agreementText(report, natives)}
${ok ? 'every promise holds' : 'BROKEN: not every promise holds'} (${seconds} s)
`);
    }
    return ok ? 0 : 1;
  },
};
