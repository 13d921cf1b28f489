/** .npy files: files of NumPy are read, NumPy reads ours, and bad files are refused. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Failure } from '../../lib/cli/command.js';
import { formatNpy, parseLiteral, parseNpy } from '../../lib/cli/npy.js';
import { float16 } from '../../lib/math/half.js';
import { bits, generator } from '../support/cases.js';
import { temporaryDirectory } from './capture.js';
import { itWith, numpy } from '../support/tools.js';

const python = numpy();

/** A file with a header given as text, of format 1.0 by default. */
function file(header: string, elements: number | Uint8Array, [major, minor] = [1, 0]): Uint8Array {
  const text = Buffer.from(header, major === 3 ? 'utf8' : 'latin1');
  const length = Buffer.alloc(major === 1 ? 2 : 4);
  if (major === 1) length.writeUInt16LE(text.length);
  else length.writeUInt32LE(text.length);
  const data = typeof elements === 'number' ? Buffer.alloc(elements) : elements;
  return Buffer.concat([Buffer.from('\x93NUMPY', 'latin1'), Buffer.from([major!, minor!]), length, text, data]);
}

const header = (descr: string, shape: string, fortran = 'False') =>
  `{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`;

describe('with NumPy', () => {
  // NumPy saves each array beside its values as float64 in C order, which the reader must find.
  const writer = `
import sys, numpy as np
rng = np.random.default_rng(5)
for version in (1, 0), (2, 0), (3, 0):
    for kind in '<f2', '>f2', '<f4', '>f4', '<f8', '>f8':
        for order in 'C', 'F':
            for shape in (1,), (17,), (1, 1), (3, 5), (5, 3), (1, 7), (7, 1), (64, 33), (2, 3, 5), (3, 1, 2, 2):
                x = np.array(rng.normal(size=shape) * 10, dtype=kind, order=order)
                x.flat[0] = [np.inf, -np.inf, np.nan, -0.0, 6e-8][rng.integers(5)]
                bytes = 'le' if kind[0] == '<' else 'be'
                sizes = 'x'.join(map(str, shape))
                name = '%s/%d-%s%s-%s-%s' % (sys.argv[1], version[0], bytes, kind[1:], order, sizes)
                with open(name + '.npy', 'wb') as f:
                    np.lib.format.write_array(f, x, version=version)
                with open(name + '.raw', 'wb') as f:
                    f.write(x.astype('<f8').tobytes())
`;

  itWith(python, 'reads every format, type, byte order, element order and shape', () => {
    const directory = temporaryDirectory();
    execFileSync(python.path, ['-W', 'ignore', '-c', writer, directory]);
    const names = readdirSync(directory).filter((name) => name.endsWith('.npy'));
    expect(names).toHaveLength(3 * 6 * 2 * 10);
    for (const name of names) {
      const { type, shape, data } = parseNpy(readFileSync(join(directory, name)));
      const raw = Uint8Array.from(readFileSync(join(directory, name.replace('.npy', '.raw'))));
      const [, kind, , dimensions] = basename(name, '.npy').split('-');
      expect(type, name).toBe(`float${8 * Number(kind!.slice(-1))}`);
      expect(shape.join('x'), name).toBe(dimensions);
      expect(Float64Array.from(data), name).toEqual(new Float64Array(raw.buffer));
    }
  });

  itWith(python, 'writes what NumPy reads, to the bit', () => {
    const directory = temporaryDirectory();
    const values = [0, -0, 1, -1.5, Math.PI, 1e-45, 5e-324, 3.4e38, Infinity, -Infinity, NaN, 0.1];
    const expected = [];
    for (const data of [Float32Array.from(values), Float64Array.from(values)]) {
      for (const shape of [[12], [3, 4], [12, 1], [1, 12]]) {
        const path = join(directory, `${expected.length}.npy`);
        const parts = formatNpy(data, shape);
        expect(parts[0].length % 64).toBe(0);
        writeFileSync(path, Buffer.concat(parts));
        const [rows, cols] = shape;
        const text = `(${rows},${cols === undefined ? '' : ` ${cols}`})`;
        expected.push(`float${8 * data.BYTES_PER_ELEMENT} ${text} True ${Buffer.from(data.buffer).toString('hex')}`);
      }
    }
    const reader = `
import sys, numpy as np
for i in range(${expected.length}):
    x = np.load('%s/%d.npy' % (sys.argv[1], i), allow_pickle=False)
    print(x.dtype, x.shape, x.flags.c_contiguous, x.tobytes().hex())
`;
    const read = execFileSync(python.path, ['-c', reader, directory], { encoding: 'utf8' });
    expect(read.trimEnd().split('\n')).toEqual(expected);
  });

  itWith(python, 'widens all 65,536 half floats as NumPy does', () => {
    const script =
      'import sys, numpy as np; ' +
      'sys.stdout.buffer.write(np.arange(65536, dtype="<u2").view("<f2").astype("<f8").tobytes())';
    const expected = new Float64Array(Uint8Array.from(execFileSync(python.path, ['-c', script])).buffer);
    for (let half = 0; half < 65536; half++)
      expect(Object.is(float16.toFloat(half), expected[half]), `0x${half.toString(16)}`).toBe(true);
  });
});

it('round trips its own files', () => {
  for (const data of [Float32Array.of(1, 2, NaN, -0, 1e-45, 6), Float64Array.of(1, 2, NaN, -0, 5e-324, 6)]) {
    for (const shape of [[6], [2, 3], [6, 1]]) {
      const read = parseNpy(Buffer.concat(formatNpy(data, shape)));
      expect(read.shape).toEqual(shape);
      expect(bits(read.data)).toEqual(bits(data));
    }
  }
});

it('reads elements that begin anywhere, and leaves the bytes it was given alone', () => {
  for (let padding = 0; padding < 8; padding++) {
    const bytes = file(header("'>f8'", '(1,)') + ' '.repeat(padding), Uint8Array.of(0x3f, 0xf8, 0, 0, 0, 0, 0, 0));
    const before = bytes.slice();
    expect([...parseNpy(bytes).data]).toEqual([1.5]);
    expect(bytes).toEqual(before);
  }
});

it('reads bfloat16 as ml_dtypes writes it', () => {
  for (const order of ['<', '|']) {
    const read = parseNpy(file(header(`'${order}V2'`, '(2,)'), Uint8Array.of(0x80, 0x3f, 0x49, 0xc0)));
    expect([read.type, ...read.data]).toEqual(['bfloat16', 1, -3.140625]);
  }
  expect([...parseNpy(file(header("'>V2'", '(1,)'), Uint8Array.of(0x3f, 0x80))).data]).toEqual([1]);
});

describe('half floats', () => {
  it.each([
    [0x0000, 0],
    [0x8000, -0],
    [0x0001, 2 ** -24],
    [0x83ff, -1023 * 2 ** -24],
    [0x0400, 2 ** -14],
    [0x3c00, 1],
    [0x3555, 0.333251953125],
    [0xfbff, -65504],
    [0x7c00, Infinity],
    [0xfc00, -Infinity],
    [0x7e00, NaN],
    [0xfc01, NaN],
  ])('%i', (half, value) => {
    expect(float16.toFloat(half)).toBe(value);
  });
});

describe('Python literals', () => {
  it.each([
    ["'a'", 'a'],
    ['"it\'s"', "it's"],
    ['-12', -12],
    ['12L', 12],
    ['True', true],
    ['()', []],
    ['(1,)', [1]],
    ['[1, (2, "x"), ]', [1, [2, 'x']]],
    [
      " { 'a' : 1 , 'b':(2,) }\n",
      new Map<string, unknown>([
        ['a', 1],
        ['b', [2]],
      ]),
    ],
  ])('%s', (text, value) => {
    expect(parseLiteral(text)).toEqual(value);
  });

  it.each([
    '',
    "'a",
    '1 2',
    '(1',
    '(1]',
    '(,)',
    '(1,,)',
    '{1}',
    "{'a': }",
    "{'a': 1, 'a': 2}",
    'None',
    '1.5',
    "'\\x41'",
    "__import__('os')",
    '1 + 1',
    '['.repeat(50_000),
  ])('not %j', (text) => {
    expect(parseLiteral(text)).toBeUndefined();
  });
});

describe('a file without floats is refused with the reason', () => {
  const float32 = (shape: string, elements: number) => file(header("'<f4'", shape), elements);
  it.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(0), /\.npy file but received something else/],
    ['another magic', Buffer.from('PK\x03\x04 a zip file'), /\.npy file but received something else/],
    ['a magic and no more', Buffer.from('\x93NUMPY\x01\x00', 'latin1'), /the file ends before it/],
    ['a later format', file(header("'<f4'", '(1,)'), 4, [4, 0]), /format 1\.0, 2\.0 or 3\.0 but received 4\.0/],
    ['a minor format', file(header("'<f4'", '(1,)'), 4, [1, 1]), /but received 1\.1/],
    [
      'a header cut short',
      file(header("'<f4'", '(1,)'), 4).subarray(0, 40),
      /header of \d+ bytes but the file ends after 30/,
    ],
    [
      'a header beyond the file',
      Buffer.from('\x93NUMPY\x02\x00\xff\xff\x00\x00 ', 'latin1'),
      /header of 65535 bytes but the file ends after 1/,
    ],
    ['a header beyond reason', Buffer.from('\x93NUMPY\x02\x00\xff\xff\xff\xff ', 'latin1'), /at most 1048576 bytes/],
    ['a header of another kind', file('[1, 2]', 4), /'descr', 'fortran_order' and 'shape'/],
    ['a key missing', file("{'descr': '<f4', 'shape': (1,)}", 4), /'fortran_order'/],
    ['a key too many', file("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", 4), /something else/],
    ['code', file("{'descr': '<f4', 'fortran_order': False, 'shape': (exit(),)}", 4), /something else/],
    ['an order that is no boolean', file(header("'<f4'", '(1,)', '1'), 4), /something else/],
    ['Python objects', file(header("'|O'", '(1,)'), 8), /'\|O' \(Python objects\)/],
    ['integers', file(header("'<i8'", '(1,)'), 8), /'<i8' \(integers\)/],
    ['complex numbers', file(header("'<c8'", '(1,)'), 8), /complex/],
    ['long doubles', file(header("'<f16'", '(1,)'), 16), /floats of another size/],
    ['strings', file(header("'<U3'", '(1,)'), 12), /strings/],
    ['no order of bytes', file(header("'f4'", '(1,)'), 4), /'f4'/],
    ['a structured type', file(header("[('a', '<f4')]", '(1,)'), 4), /a structured type/],
    ['a type that is a number', file(header('4', '(1,)'), 4), /a structured type/],
    ['no dimensions', float32('()', 4), /one dimension at least but received a single number/],
    ['two raw bytes of no order', file(header("'V2'", '(1,)'), 2), /'V2' \(raw bytes\)/],
    ['no elements', float32('(0,)', 0), /at least one element but received shape \(0,\)/],
    ['no columns', float32('(3, 0)', 0), /at least one element but received shape \(3, 0\)/],
    ['a negative length', float32('(-1,)', 4), /whole numbers but received shape \(-1,\)/],
    ['two negative lengths', float32('(-1, -1)', 4), /whole numbers but received shape \(-1, -1\)/],
    ['a shape that is a number', float32('4', 16), /a shape of integers/],
    ['a shape of strings', float32("('1',)", 4), /a shape of integers/],
    ['a shape past any memory', float32('(4294967296, 4294967296)', 4), /but received 4/],
    ['a shape past any number', float32(`(1${'0'.repeat(400)},)`, 4), /whole numbers but received shape \(Infinity,\)/],
    ['too few bytes', float32('(2, 3)', 23), /Expected 24 bytes for float32 of shape \(2, 3\) but received 23/],
    ['too many bytes', float32('(2, 3)', 25), /Expected 24 bytes for float32 of shape \(2, 3\) but received 25/],
  ])('%s', (_, bytes, message) => {
    const attempt = () => parseNpy(bytes);
    expect(attempt).toThrow(Failure);
    expect(attempt).toThrow(message);
  });

  it('with damaged bytes anywhere', () => {
    const good = file(header("'<f4'", '(2, 3)'), 24);
    const random = generator(1);
    let refused = 0;
    for (let i = 0; i < 20_000; i++) {
      const bytes = Uint8Array.from(good);
      for (let k = random() % 4; k >= 0; k--) bytes[random() % bytes.length] = random();
      try {
        const { shape, data } = parseNpy(bytes.subarray(0, random() % 4 ? bytes.length : random() % bytes.length));
        expect(shape.reduce((a, b) => a * b)).toBe(data.length);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(1000);
  });
});
