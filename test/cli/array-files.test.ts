/** Files of arrays: .npy of any rank, .npz, safetensors, JSON and CSV, from files and from standard input. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FORMATS, formatArray, parseArray } from '../../lib/cli/array-file.js';
import { Failure } from '../../lib/cli/command.js';
import { softmax } from '../../lib/index.js';
import { bits, generator } from '../support/cases.js';
import { itWith, numpy } from '../support/tools.js';
import { capture, captureBytes, temporaryDirectory } from './capture.js';

const python = numpy();
const whole = (parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts);

describe.each(FORMATS)('%s', (format) => {
  const shapes = [[6], [2, 3], [1, 2, 3], [3, 1, 2]].filter(({ length }) => format !== 'csv' || length < 3);
  const values = [0, -1.5, 1 / 3, 3e38, 1e-45, 7];

  it('has what was written', () => {
    for (const data of [Float32Array.from(values), Float64Array.from(values)]) {
      for (const shape of shapes) {
        const read = parseArray(whole(formatArray(format, data, shape)));
        expect([read.format, read.shape]).toEqual([format, shape]);
        const isText = format === 'json' || format === 'csv';
        const back = data instanceof Float32Array ? Float32Array.from(read.data) : read.data;
        expect(bits(back)).toEqual(bits(data));
        expect(read.type).toBe(isText || data instanceof Float64Array ? 'float64' : 'float32');
      }
    }
  });

  it('goes through the command line, from standard input to standard output', async () => {
    const x = Float64Array.of(1, 2, 3, 4, 5, 7);
    const stdin = whole(formatArray(format, x, [2, 3]));
    const { status, stdout, stderr } = await captureBytes(['softmax', '-', '--out', '-'], { stdin });
    expect([status, stderr]).toEqual([0, '']);
    const y = parseArray(stdout);
    expect([y.format, y.shape]).toEqual([format, [2, 3]]);
    expect(bits(y.data)).toEqual(bits(softmax(x, { cols: 3 })));
  });

  it('refuses bytes that were changed, in one line, or reads them', async () => {
    const good = whole(formatArray(format, Float32Array.from(values), [2, 3]));
    const random = generator(FORMATS.indexOf(format) + 1);
    for (let i = 0; i < 400; i++) {
      const bytes = good.slice(0, random() % 3 === 0 ? random() % good.length : good.length);
      for (let n = random() % 3; n >= 0 && bytes.length > 0; n--) bytes[random() % bytes.length] = random() & 255;
      const { status, stderr } = await capture(['softmax', '-', '--from', format], { stdin: bytes });
      expect(stderr).toMatch(status === 0 ? /^$/ : /^flash-softmax: [^\n]+\n$/);
    }
  });
});

describe('rows along an axis', () => {
  const x = Float64Array.from({ length: 24 }, (_, i) => Math.sin(i * i));

  it.each([0, 1, 2, -1, -3])('%i', async (axis) => {
    const stdin = whole(formatArray('npy', x, [2, 3, 4]));
    const { stdout } = await captureBytes(['softmax', '-', '--axis', String(axis), '--out', '-'], { stdin });
    const expected = softmax(x, { shape: [2, 3, 4], axis });
    expect(bits(parseArray(stdout).data)).toEqual(bits(expected));

    const { stdout: text } = await capture(['softmax', '-', '--axis', String(axis), '--json', '--top', '9'], { stdin });
    const table = JSON.parse(text) as {
      axis: number;
      rows: { row: number[]; top: { index: number; probability: number }[] }[];
    };
    const at = (axis + 3) % 3;
    expect(table.axis).toBe(at);
    expect(table.rows).toHaveLength(24 / [2, 3, 4][at]!);
    for (const { row, top } of table.rows) {
      for (const { index, probability } of top) {
        const place = row.toSpliced(at, 0, index);
        expect(probability).toBe(expected[(place[0]! * 3 + place[1]!) * 4 + place[2]!]);
      }
      expect(top.map(({ probability }) => -probability)).toEqual(
        top.map((each) => -each.probability).toSorted((a, b) => a - b),
      );
    }
  });

  it('have their indices in the table', async () => {
    const stdin = whole(formatArray('json', Float64Array.of(0, 0, 0, 0, 50, 0, 0, 50), [2, 2, 2]));
    const { stdout } = await capture(['softmax', '-', '--axis', '0', '--top', '1'], { stdin });
    expect(stdout.split('\n')).toEqual([
      '2 × 2 × 2 float64, rows along axis 0',
      '',
      'row  index  probability',
      '0,0      1     1.000000',
      '0,1      0     0.500000',
      '1,0      0     0.500000',
      '1,1      1     1.000000',
      '',
    ]);
  });

  it.each(['3', '-4'])('%s is none of three', async (axis) => {
    const stdin = whole(formatArray('npy', x, [2, 3, 4]));
    const { status, stderr } = await capture(['softmax', '-', '--axis', axis], { stdin });
    expect([status, stderr]).toEqual([
      2,
      `flash-softmax: Expected an axis from -3 to 2 for --axis but received '${axis}'\n`,
    ]);
  });
});

describe('archives', () => {
  itWith(python, 'of NumPy are read, packed or not, and NumPy reads ours', async () => {
    const directory = temporaryDirectory();
    const script = `
import sys, numpy as np
a, b = np.arange(6, dtype='<f4').reshape(2, 3), np.ones(4, dtype='>f8')
np.savez(sys.argv[1] + '/plain.npz', logits=a, other=b)
np.savez_compressed(sys.argv[1] + '/packed.npz', logits=a, other=b)
`;
    execFileSync(python.path, ['-c', script, directory]);
    for (const name of ['plain.npz', 'packed.npz']) {
      const file = join(directory, name);
      expect([...parseArray(readFileSync(file), undefined, 'logits').data]).toEqual([0, 1, 2, 3, 4, 5]);
      expect(parseArray(readFileSync(file), 'npz', 'other').type).toBe('float64');
      expect((await capture(['softmax', file])).stderr).toMatch(/Expected --array with one of logits, other\n/);
      expect((await capture(['softmax', file, '--array', 'x'])).stderr).toMatch(/one of logits, other for --array/);
      const out = join(directory, 'out.npz');
      expect(await capture(['softmax', file, '--array', 'logits', '--out', out])).toMatchObject({ status: 0 });
      const read = `import numpy as np, sys; y = np.load(sys.argv[1])['logits']; print(y.dtype, y.shape, y.sum())`;
      expect(execFileSync(python.path, ['-c', read, out], { encoding: 'utf8' })).toMatch(/^float32 \(2, 3\) 2\.0/);
    }
  });

  it('that claim more than their bytes can hold are refused', () => {
    const bytes = whole(formatArray('npz', new Float32Array(4), [4]));
    const at = bytes.lastIndexOf(0x50, bytes.length - 23); // the central directory
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let i = at; i >= 0; i--) if (view.getUint32(i, true) === 0x02014b50) view.setUint32(i + 24, 0x7fffffff, true);
    expect(() => parseArray(bytes)).toThrow(Failure);
  });
});

describe('safetensors', () => {
  const file = (header: unknown, elements: Uint8Array): Uint8Array => {
    const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    return Buffer.concat([length, text, elements]);
  };
  const two = { dtype: 'BF16', shape: [2], data_offsets: [0, 4] };

  it('has bfloat16 and float16', () => {
    const halves = Uint8Array.of(0x80, 0x3f, 0x00, 0xc0);
    expect(parseArray(file({ x: two, __metadata__: { a: 'b' } }, halves))).toMatchObject({
      name: 'x',
      type: 'bfloat16',
      data: Float32Array.of(1, -2),
    });
    expect([...parseArray(file({ x: { ...two, dtype: 'F16' } }, Uint8Array.of(0, 0x3c, 0, 0xc0))).data]).toEqual([
      1, -2,
    ]);
  });

  it.each([
    ['[]', /a safetensors header of JSON/],
    [{}, /an array but the file has none/],
    [{ x: { ...two, dtype: 'I8' } }, /Expected x to be F16, BF16, F32 or F64 but it is I8/],
    [{ x: { ...two, dtype: 'constructor' } }, /but it is constructor/],
    [{ x: null }, /but it is undefined/],
    [{ x: { ...two, shape: [-2] } }, /a shape of whole numbers for x/],
    [{ x: { ...two, shape: [2 ** 40, 2 ** 40] } }, /bytes within the file/],
    [{ x: { ...two, data_offsets: [2, 6] } }, /Expected 4 bytes within the file for x of shape \(2,\)/],
    [{ x: { ...two, data_offsets: 'all' } }, /but received data_offsets "all"/],
  ])('refuses %j', (header, message) => {
    expect(() => parseArray(file(header, new Uint8Array(4)), 'safetensors')).toThrow(message);
  });

  it('refuses a header that is longer than the file', () => {
    expect(() => parseArray(Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 123), 'safetensors')).toThrow(
      Failure,
    );
  });
});

describe('text', () => {
  const read = (text: string, format?: 'json' | 'csv') => parseArray(Buffer.from(text), format);

  it('of JSON has words for what is no number, bare as Python writes them or quoted', () => {
    expect([...read('[1, -Infinity, "Infinity", null, NaN]').data]).toEqual([1, -Infinity, Infinity, NaN, NaN]);
  });

  it.each([
    ['[1, [2]]', /a number as element 1 but received \[2\]/],
    ['[[1, 2], [3]]', /lists of 2 at depth 2 but received 1/],
    ['[true]', /a number as element 0 but received true/],
    ['["one"]', /a number as element 0 but received "one"/],
    ['[]', /at least one element/],
    ['7', /one dimension at least/],
    ['[1,', /Expected JSON/],
    ['[[', /Expected JSON/],
  ])('refuses %j', (text, message) => {
    expect(() => read(text, 'json')).toThrow(message);
  });

  it.each([
    ['1,2\n3,4\n', [2, 2]],
    ['1;2\r\n3;4\r\n', [2, 2]],
    ['a\tb\n1\t2\n\n3\t4', [2, 2]],
    ['# numpy.savetxt\n1.0e+00 2.5\n-inf nan\n', [2, 2]],
    ['1\n2\n3\n', [3]],
    ['1 2 3', [3]],
  ])('of CSV %j has shape %j', (text, shape) => {
    expect(read(text, 'csv').shape).toEqual(shape);
  });

  it.each([
    ['1,2\n3\n', /2 numbers in line 2 but received 1/],
    ['1,2\n3,x\n', /a number in line 2, column 2/],
    ['a,1\n', /a number in line 1, column 1/],
    ['# nothing\n', /numbers but received none/],
  ])('refuses %j', (text, message) => {
    expect(() => read(text, 'csv')).toThrow(message);
  });
});

it('takes the format from the name of a file, and another one with --to', async () => {
  const directory = temporaryDirectory();
  const [input, output] = [join(directory, 'x.csv'), join(directory, 'y.dat')];
  writeFileSync(input, '0,0\n0,0\n');
  expect(await capture(['softmax', input, '--out', output, '--to', 'json'])).toEqual({
    status: 0,
    stdout: '',
    stderr: `Wrote ${output}: float64 of shape (2, 2)\n`,
  });
  expect(readFileSync(output, 'utf8')).toBe('[[0.5,0.5],\n[0.5,0.5]]\n');
});
