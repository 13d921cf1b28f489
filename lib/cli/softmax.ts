/** flash-softmax softmax: probabilities of the rows of an array in a file. */
import { setImmediate } from 'node:timers/promises';
import { buffer } from 'node:stream/consumers';
import { softmax as probabilities } from '../index.js';
import { FORMATS, formatArray, formatOfPath, parseArray, type FileArray, type Format } from './array-file.js';
import {
  count,
  Failure,
  integer,
  oneName,
  positive,
  UsageError,
  type Command,
  type Io,
  type Output,
} from './command.js';
import { DASH, readWhole, writeWhole } from './files.js';
import { shapeText, type Floats } from './floats.js';
import { LargestRows, type Row } from './largest.js';
import { grouped } from './table.js';

/** Reads an array, from standard input if the path is '-'. */
async function read(path: string, format: Format | undefined, name: string | undefined, io: Io): Promise<FileArray> {
  const bytes = path === DASH ? new Uint8Array(await buffer(io.stdin ?? process.stdin)) : readWhole(path);
  try {
    return parseArray(bytes, format ?? formatOfPath(path), name);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if (error instanceof Failure) throw new Failure(`${path === DASH ? 'standard input' : path}: ${error.message}`);
    throw error;
  }
}

/** Lines are gathered to some size; between two writes the EPIPE of a closed pipe can arrive. */
async function printLines(lines: Iterable<string>, stdout: Output): Promise<void> {
  let text = '';
  for (const line of lines) {
    text += line;
    if (text.length < 2 ** 16) continue;
    stdout.write(text);
    text = '';
    await setImmediate();
  }
  stdout.write(text);
}

function probabilityText(p: number): string {
  return p >= 1e-4 || p === 0 ? p.toFixed(6) : p.toExponential(3);
}

/** The lines of a table. Column widths follow from the shape, so rows print without a look at later ones. */
function* tableLines(rows: LargestRows): Generator<string> {
  const heads = rows.hasMany ? ['row', 'index', 'probability'] : ['index', 'probability'];
  const widest = [...(rows.hasMany ? [rows.widestPlace] : []), String(rows.cols - 1).length, 0];
  const widths = heads.map((head, i) => Math.max(head.length, widest[i]!));
  const line = (cells: readonly string[]) =>
    `${cells
      .slice(-heads.length)
      .map((cell, i) => cell.padStart(widths[i]!))
      .join('  ')}\n`;
  yield line(heads);
  for (const { place, top } of rows) {
    // A row with a NaN or +∞, or of -∞ alone, has no probabilities.
    if (top === undefined) yield line([place.join(), '-', 'NaN']);
    else
      for (const { index, probability } of top) yield line([place.join(), String(index), probabilityText(probability)]);
  }
}

/** The same for machines: a list of rows in JSON. */
function* jsonLines(head: object, rows: Iterable<Row>): Generator<string> {
  yield `${JSON.stringify(head).slice(0, -1)},"rows":[\n`;
  let separator = '';
  for (const { place, top } of rows) {
    yield separator + JSON.stringify({ row: place, top: top ?? null });
    separator = ',\n';
  }
  yield '\n]}\n';
}

/** Runs softmax in place along an axis: nobody else has the array that was read. */
function inPlace(data: Floats, shape: readonly number[], axis: number, temperature: number): void {
  if (data instanceof Float32Array) probabilities(data, { shape, axis, temperature, out: data });
  else probabilities(data, { shape, axis, temperature, out: data });
}

/** The axis, counted from 0. */
function axisOf(given: ReadonlyMap<string, string>, { length }: readonly number[]): number {
  const axis = integer(given, 'axis', -1);
  if (axis >= -length && axis < length) return axis < 0 ? axis + length : axis;
  throw new UsageError(`Expected an axis from ${-length} to ${length - 1} for --axis but received '${axis}'`);
}

function write(out: string, format: Format, { name, data, shape }: FileArray, { stdout, stderr }: Io): void {
  const parts = formatArray(format, data, shape, name);
  if (out === DASH) {
    for (const part of parts) stdout.write(part);
    return;
  }
  writeWhole(out, parts);
  stderr.write(`Wrote ${out}: float${data.BYTES_PER_ELEMENT * 8} of shape ${shapeText(shape)}\n`);
}

export const softmax: Command = {
  name: 'softmax',
  summary: 'Softmax of each row of an array in a file: its most probable indices as a table, all of them as a file.',
  operand: 'FILE',
  options: {
    temperature: { value: 'T', help: 'divide the logits by T first (default 1)' },
    axis: { value: 'N', help: 'the axis that a row lies along; -1 is the last (default -1)' },
    top: { value: 'K', help: 'print the K most probable of each row (default 5, or none with --out)' },
    out: { value: 'FILE', help: 'write all probabilities; - is standard output' },
    array: { value: 'NAME', help: 'which array, of a file that has several' },
    from: { value: 'FORMAT', help: `${FORMATS.join(', ')} (default: by the name of FILE, else by its contents)` },
    to: { value: 'FORMAT', help: 'likewise for --out (default: by its name, else as FILE)' },
    json: { help: 'what is printed, for machines' },
  },
  notes: `FILE is .npy of any shape and order, .npz, .safetensors, .json (nested lists) or .csv; - is standard input.
It holds float16, bfloat16, float32 or float64. The result is float64 for float64 and text, and float32 for
the others, in C order. Messages go to standard error.
`,
  async run(given, path, io) {
    const temperature = positive(given, 'temperature', 1);
    const top = count(given, 'top', 5);
    const [from, to] = [oneName(given, 'from', FORMATS), oneName(given, 'to', FORMATS)];
    const out = given.get('out');
    const printsTop = given.has('top') || out === undefined;
    if (out === DASH && printsTop) throw new UsageError('Expected no --top beside --out -, as both are printed');

    const array = await read(path, from, given.get('array'), io);
    const { type, shape, data, format } = array;
    const axis = axisOf(given, shape);
    inPlace(data, shape, axis, temperature);
    if (out !== undefined) write(out, to ?? formatOfPath(out) ?? format, array, io);
    if (!printsTop) return 0;
    const rows = new LargestRows(data, shape, axis, top);
    if (given.has('json')) {
      await printLines(jsonLines({ type, shape, axis, temperature }, rows), io.stdout);
      return 0;
    }
    const sizes = shape.map(grouped).join(' × ');
    const along = axis === shape.length - 1 ? '' : `, rows along axis ${axis}`;
    io.stdout.write(`${sizes} ${type}${along}${temperature === 1 ? '' : `, temperature ${temperature}`}\n\n`);
    await printLines(tableLines(rows), io.stdout);
    return 0;
  },
};
