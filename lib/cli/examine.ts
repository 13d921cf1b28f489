/**
 * Examines backends: the largest error of each against an oracle in double-double, the distance of sums from 1, whether
 * a larger logit always has a larger probability, and whether native backends give the same bits.
 */
import type { Backend, BackendName } from '../backend/backend.js';
import { softmaxOracle, countedError } from './oracle.js';
import { fill, fits, KINDS, type Kind } from './rows.js';

export type Floats = Float32Array | Float64Array;
export type Type = 'f32' | 'f64';

/** The promised errors. The fallback computes in double, and rounds a float32 once. */
const ULP_BOUNDS = { native: { f32: 2, f64: 2 }, js: { f32: 0.51, f64: 2 } };
export const SUM_BOUNDS = { f32: 1e-6, f64: 1e-14 };
const TEMPERATURES = [1, 0.7, 1.3, 0.05, 40];

export interface Row {
  readonly elements: number;
  readonly kind: Kind;
  readonly temperature: number;
}

/** The measured errors of one backend with one type; `row` has the largest error in ULP. */
export interface Finding {
  readonly backend: BackendName;
  readonly type: Type;
  ulp: number;
  row: Row;
  sumError: number;
  monotone: boolean;
}

export interface Disagreement {
  readonly backends: readonly [BackendName, BackendName];
  readonly type: Type;
  readonly row: Row;
}

/**
 * Rows of every length up to 160, for the tails of vectors and blocks; then lengths near powers of two, of fewer kinds.
 */
export function rows(): Row[] {
  const list: Row[] = [];
  const push = (elements: number, kind: Kind) => {
    list.push({ elements, kind, temperature: TEMPERATURES[list.length % TEMPERATURES.length]! });
  };
  const kindAt = (i: number) => KINDS[i % KINDS.length]!;
  for (let n = 1; n <= 160; n++) for (let k = 0; k < 2; k++) push(n, kindAt(2 * n + k));
  for (let e = 8; e <= 12; e++) for (const n of [-1, 0, 1]) for (const kind of KINDS) push(2 ** e + n, kind);
  for (let e = 13; e <= 18; e++) for (const n of [-1, 0, 1]) push(2 ** e + n, kindAt(e + 4 * (n + 1)));
  for (const kind of KINDS.slice(0, 3)) list.push({ elements: 1e6, kind, temperature: 1 });
  return list;
}

function softmaxOn(backend: Backend, x: Floats, temperature: number): Floats {
  if (x instanceof Float32Array) {
    const out = new Float32Array(x.length);
    backend.softmax_f32(x, out, 1, x.length, 1, temperature, null, 0, null);
    return out;
  }
  const out = new Float64Array(x.length);
  backend.softmax_f64(x, out, 1, x.length, 1, temperature, null, 0, null);
  return out;
}

function largestUlpError(y: Floats, exact: { hi: Float64Array; lo: Float64Array }, type: Type): number {
  let largest = 0;
  for (let i = 0; i < y.length; i++) largest = Math.max(largest, countedError(y[i]!, exact.hi[i]!, exact.lo[i]!, type));
  return largest;
}

/** |sum − 1|, by a compensated sum (Neumaier). */
export function sumError(y: Floats): number {
  let sum = -1;
  let lost = 0;
  for (const value of y) {
    const next = sum + value;
    lost += Math.abs(sum) >= value ? sum - next + value : value - next + sum;
    sum = next;
  }
  return Math.abs(sum + lost);
}

function isAscending(y: Floats): boolean {
  for (let i = 1; i < y.length; i++) if (!(y[i]! >= y[i - 1]!)) return false;
  return true;
}

export function sameBits(a: Floats, b: Floats): boolean {
  const bytes = ({ buffer, byteOffset, byteLength }: Floats) => new Uint8Array(buffer, byteOffset, byteLength);
  return Buffer.compare(bytes(a), bytes(b)) === 0;
}

export interface Report {
  readonly findings: readonly Finding[];
  readonly disagreements: readonly Disagreement[];
}

/** Examines all backends. Each row and its exact result are computed once, for all of them. */
export function examine(
  backends: readonly Backend[],
  list: readonly Row[],
  tell: (type: Type, row: Row, index: number) => void = () => {},
): Report {
  const report = { findings: [] as Finding[], disagreements: [] as Disagreement[] };
  for (const type of ['f32', 'f64'] as const) {
    const findings = backends.map(({ name }): Finding => ({
      backend: name,
      type,
      ulp: 0,
      row: list[0]!,
      sumError: 0,
      monotone: true,
    }));
    for (const finding of findings) report.findings.push(finding);
    for (const [index, row] of list.entries()) {
      tell(type, row, index);
      const x = fill(type === 'f32' ? new Float32Array(row.elements) : new Float64Array(row.elements), row.kind, index);
      for (const found of examineRow(backends, findings, x, row)) report.disagreements.push(found);
    }
  }
  return report;
}

/** Updates the findings by one row; returns the native backends whose bits differ from the first one's. */
function examineRow(backends: readonly Backend[], findings: readonly Finding[], x: Floats, row: Row): Disagreement[] {
  const exact = softmaxOracle(x, row);
  const ascending = x.slice().sort();
  const disagreements: Disagreement[] = [];
  let first: { name: BackendName; y: Floats } | undefined;
  for (const [i, backend] of backends.entries()) {
    if (!fits(backend, row.elements)) continue;
    const finding = findings[i]!;
    const { type } = finding;
    const y = softmaxOn(backend, x, row.temperature);
    const ulp = largestUlpError(y, exact, type);
    if (ulp > finding.ulp) Object.assign(finding, { ulp, row });
    finding.sumError = Math.max(finding.sumError, sumError(y));
    finding.monotone &&= isAscending(softmaxOn(backend, ascending, row.temperature));
    if (backend.name === 'js') continue;
    first ??= { name: backend.name, y };
    if (!sameBits(first.y, y)) disagreements.push({ backends: [first.name, backend.name], type, row });
  }
  return disagreements;
}

/** The promised ULP of a finding's backend and type. */
export function bound({ backend, type }: Finding): number {
  return ULP_BOUNDS[backend === 'js' ? 'js' : 'native'][type];
}

/** Whether a finding is within all promises. */
export function holds(finding: Finding): boolean {
  return finding.ulp <= bound(finding) && finding.monotone && finding.sumError <= SUM_BOUNDS[finding.type];
}
