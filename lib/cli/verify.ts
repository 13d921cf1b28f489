/** flash-softmax verify: checks on the user's machine that results keep the promises of the package. */
import type { BackendName } from '../backend/backend.js';
import { native } from '../backend/native.js';
import { backendNamed } from '../backend/named.js';
import { availableBackends } from '../backend/choice.js';
import type { Command } from './command.js';
import { bound, examine, holds, rows, SUM_BOUNDS, type Report, type Row, type Type } from './examine.js';
import { Progress } from './progress.js';
import { grouped, table } from './table.js';
import { examineSums, examineVariants, LONG_ROW, type LongSum, type Variants } from './variants.js';

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

function sumsText(sums: readonly LongSum[]): string {
  const backends = [...new Set(sums.map(({ backend }) => backend))];
  const lines = backends.map((backend) => {
    const own = sums.filter((each) => each.backend === backend);
    const verdict = own.every(isNearOne) ? 'holds' : 'BROKEN';
    const errors = own.map(({ sumError }) => sumError.toExponential(0));
    return [backend, ...errors, `≤ ${SUM_BOUNDS.f32.toExponential(0)}`, verdict];
  });
  const kinds = [...new Set(sums.map(({ kind }) => kind))];
  return table('lrrll', [['backend', ...kinds, 'bound', ''], ...lines]);
}

function agreementText(
  { disagreements }: Report,
  variants: Variants | undefined,
  natives: readonly BackendName[],
): string {
  if (natives.length === 0 || !variants) return 'no native backend on this machine (flash-softmax info says why)';
  const row = disagreements[0];
  if (row) {
    const where = `the first of them ${TYPE_NAMES[row.type]} ${rowText(row.row)}`;
    return `BROKEN: ${row.backends.join(' and ')} do not give the same bits in ${disagreements.length} rows, ${where}`;
  }
  const { compared, threads, differences } = variants;
  const first = differences[0];
  if (first) {
    const { backend, type, rows, cols, plan, offset } = first;
    const call = `${backend} ${TYPE_NAMES[type]} ${rows} × ${cols}`;
    const where = `${call}, ${plan}, on ${first.threads} threads, ${offset} elements into its buffer`;
    return `BROKEN: ${differences.length} of ${compared} results have other bits than the first, ${where}`;
  }
  return `${natives.join(', ')}: the same bits in every row; and in ${compared} results, rows stored, read twice and streamed,
  on ${threads.join(', ')} thread${threads.length > 1 ? 's' : ''}, at every alignment`;
}

const isNearOne = ({ sumError }: LongSum): boolean => sumError <= SUM_BOUNDS.f32;

export const verify: Command = {
  name: 'verify',
  summary: 'Shows that what is promised of results holds here: errors, sums, order, bits.',
  options: { json: { help: 'results for machines' } },
  notes: `Errors are in units of the last place (ULP) of the exact result. The exit status is 1 if a promise is broken:
an error or a sum beyond its bound, a smaller probability for a larger logit, or a bit of a native result that depends
on the instruction set, the plan, the number of threads or the alignment.
`,
  run(given, _, { stdout, stderr }) {
    const start = performance.now();
    const names = availableBackends();
    const list = rows();
    const progress = new Progress(stderr);
    const report = examine(names.map(backendNamed), list, (type, row, index) => {
      progress.show(`${TYPE_NAMES[type]}: row ${index + 1} of ${list.length}, ${rowText(row)}`);
    });
    const sums = examineSums(names.map(backendNamed), (name) =>
      progress.show(`a row of ${grouped(LONG_ROW)}: ${name}`),
    );
    const natives = names.filter((name) => name !== 'js');
    const { addon } = native();
    const variants = addon
      ? examineVariants(natives.map(backendNamed), addon, (name, type) => {
          progress.show(`plans and threads: ${name} ${TYPE_NAMES[type]}`);
        })
      : undefined;
    progress.clear();
    const agree = report.disagreements.length === 0 && !variants?.differences.length;
    const ok = agree && report.findings.every(holds) && sums.every(isNearOne);

    if (given.has('json')) {
      const findings = report.findings.map((finding) => ({
        ...finding,
        bound: bound(finding),
        sumBound: SUM_BOUNDS[finding.type],
        ok: holds(finding),
      }));
      stdout.write(`${JSON.stringify({ ok, rows: list.length, ...report, findings, sums, variants }, null, 2)}\n`);
    } else {
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      stdout.write(`${grouped(list.length)} rows of each type, of 1 … 1,000,000 logits, against double-double arithmetic

${findingsText(report)}
|sum−1| of a row of ${grouped(LONG_ROW)} float32
${sumsText(sums)}
${agreementText(report, variants, natives)}
${ok ? 'every promise holds' : 'BROKEN: not every promise holds'} (${seconds} s)
`);
    }
    return ok ? 0 : 1;
  },
};
