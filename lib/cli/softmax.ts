/** flash-softmax softmax: probabilities of the rows of a NumPy file. */
import { setImmediate } from 'node:timers/promises';
import { softmax as probabilities } from '../index.js';
import { count, Failure, positive, type Command, type Output } from './command.js';
import { readWhole, writeWhole } from './files.js';
import { formatNpy, parseNpy, shapeText, type Npy } from './npy.js';
import { grouped } from './table.js';

/** The indices of the k largest numbers, the largest first, lower indices first among equals. */
export function largest(y: Float32Array | Float64Array, k: number): number[] {
  const kept: number[] = [];
  let threshold = -Infinity;
  const prune = () => {
    kept.sort((a, b) => y[b]! - y[a]! || a - b);
    if (kept.length >= k) {
      kept.length = k;
      threshold = y[kept[k - 1]!]!;
    }
  };
  const room = Math.max(2 * k, 64); // one sort for k or more new numbers
  for (let i = 0; i < y.length; i++) {
    if (!(y[i]! > threshold)) continue;
    kept.push(i);
    if (kept.length === room) prune();
  }
  prune();
  return kept;
}

function probabilityText(p: number): string {
  return p >= 1e-4 || p === 0 ? p.toFixed(6) : p.toExponential(3);
}

/**
 * Prints the k largest of each row. Column widths follow from the shape, so rows print without a look at later ones.
 */
async function printLargest(y: Float32Array | Float64Array, shape: readonly number[], k: number, stdout: Output) {
  const cols = shape.at(-1)!;
  const heads = shape.length === 2 ? ['row', 'index', 'probability'] : ['index', 'probability'];
  const widths = heads.map((head, i) => Math.max(head.length, String((shape[i] ?? 1) - 1).length));
  const line = (cells: readonly string[]) =>
    `${cells
      .slice(-heads.length)
      .map((cell, i) => cell.padStart(widths[i]!))
      .join('  ')}\n`;
  let text = line(heads);
  for (let row = 0; row * cols < y.length; row++) {
    const values = y.subarray(row * cols, (row + 1) * cols);
    // A row with a NaN or +∞, or of -∞ alone, has no probabilities.
    if (Number.isNaN(values[0])) text += line([String(row), '-', 'NaN']);
    else for (const i of largest(values, k)) text += line([String(row), String(i), probabilityText(values[i]!)]);
    if (text.length < 2 ** 16) continue;
    stdout.write(text);
    text = '';
    await setImmediate(); // lets the EPIPE of a closed pipe arrive
  }
  stdout.write(text);
}

function read(path: string): Npy {
  const bytes = readWhole(path);
  try {
    return parseNpy(bytes);
  } catch (error) {
    if (error instanceof Failure) throw new Failure(`${path}: ${error.message}`);
    throw error;
  }
}

export const softmax: Command = {
  name: 'softmax',
  summary: 'Softmax of each row of a NumPy array: its most probable indices as a table, all of them as a file.',
  operand: 'FILE.npy',
  options: {
    temperature: { value: 'T', help: 'divide the logits by T first (default 1)' },
    top: { value: 'K', help: 'print the K most probable of each row (default 5, or none with --out)' },
    out: { value: 'FILE.npy', help: 'write all probabilities' },
  },
  notes: `FILE.npy holds float16, float32 or float64 in one dimension (one row) or two, in C or Fortran order and
either byte order. The result is float64 for float64 and float32 for the others, in C order.
`,
  async run(given, path, { stdout }) {
    const temperature = positive(given, 'temperature', 1);
    const top = count(given, 'top', 5);
    const out = given.get('out');

    const { type, shape, data } = read(path);
    const cols = shape.at(-1)!;
    // Nobody else has the array that was read: results may replace it.
    if (data instanceof Float32Array) probabilities(data, { cols, temperature, out: data });
    else probabilities(data, { cols, temperature, out: data });

    if (out !== undefined) writeWhole(out, formatNpy(data, shape));
    if (given.has('top') || out === undefined) {
      const rows = shape.length === 2 ? `${grouped(shape[0]!)} × ` : '';
      stdout.write(`${rows}${grouped(cols)} ${type}${temperature === 1 ? '' : `, temperature ${temperature}`}\n\n`);
      await printLargest(data, shape, Math.min(top, cols), stdout);
    } else {
      stdout.write(`Wrote ${out}: float${data.BYTES_PER_ELEMENT * 8} of shape ${shapeText(shape)}\n`);
    }
    return 0;
  },
};
