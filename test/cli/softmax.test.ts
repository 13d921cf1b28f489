/** flash-softmax softmax: it reads files, writes tables and files, and leaves no output behind if it fails. */
import { mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatNpy, parseNpy } from '../../lib/cli/npy.js';
import { largest } from '../../lib/cli/largest.js';
import { generator, normal } from '../support/cases.js';
import { oracle, worstError } from '../support/oracle.js';
import { capture, temporaryDirectory } from './capture.js';

function save(path: string, data: Float32Array | Float64Array, shape: number[] = [data.length]): string {
  writeFileSync(path, Buffer.concat(formatNpy(data, shape)));
  return path;
}

describe('the table', () => {
  it('has the most probable of one row, the first of equals first', async () => {
    const file = save(join(temporaryDirectory(), 'x.npy'), Float64Array.of(0, Math.log(4), 0, Math.log(2), -Infinity));
    expect((await capture(['softmax', file])).stdout).toBe(
      [
        '5 float64',
        '',
        'index  probability',
        '    1     0.500000',
        '    3     0.250000',
        '    0     0.125000',
        '    2     0.125000',
        '    4     0.000000',
        '',
      ].join('\n'),
    );
  });

  it('has the row of each, and K of them', async () => {
    const file = save(join(temporaryDirectory(), 'x.npy'), Float32Array.of(0, 30, 1, 1, 1, 1), [2, 3]);
    expect((await capture(['softmax', '--top', '2', file])).stdout).toBe(
      [
        '2 × 3 float32',
        '',
        'row  index  probability',
        '  0      1     1.000000',
        '  0      2    2.544e-13',
        '  1      0     0.333333',
        '  1      1     0.333333',
        '',
      ].join('\n'),
    );
  });

  it('says NaN once for a row that has no probabilities', async () => {
    const file = save(join(temporaryDirectory(), 'x.npy'), Float32Array.of(1, NaN, 2, 5, 5, 5), [2, 3]);
    const { stdout } = await capture(['softmax', file, '--top', '1']);
    expect(stdout.split('\n').slice(3)).toEqual(['  0      -          NaN', '  1      0     0.333333', '']);
  });

  it('has columns of one width, however many rows there are', async () => {
    const file = save(join(temporaryDirectory(), 'x.npy'), new Float32Array(12_000 * 11), [12_000, 11]);
    const lines = (await capture(['softmax', file, '--top', '11'])).stdout.trimEnd().split('\n').slice(2);
    expect(lines).toHaveLength(1 + 12_000 * 11);
    expect(new Set(lines.map(({ length }) => length))).toEqual(new Set(['  row  index  probability'.length]));
    expect(lines[1]).toBe('    0      0     0.090909');
    expect(lines.at(-1)).toBe('11999     10     0.090909');
  });

  it('applies the temperature, and says so', async () => {
    const file = save(join(temporaryDirectory(), 'x.npy'), Float32Array.of(0, Math.log(4)));
    const { stdout } = await capture(['softmax', file, '--temperature', '2', '--top', '9']);
    expect(stdout).toBe('2 float32, temperature 2\n\nindex  probability\n    1     0.666667\n    0     0.333333\n');
  });
});

describe('largest', () => {
  it.each([1, 2, 5, 40, 999, 1000])('finds the %i largest as a sort does', (k) => {
    const random = generator(k);
    for (const levels of [3, 50, 2 ** 20]) {
      const y = Float32Array.from({ length: 1000 }, () => random() % levels);
      const sorted = [...y.keys()].sort((a, b) => y[b]! - y[a]! || a - b);
      expect(largest(y, k)).toEqual(sorted.slice(0, k));
      expect(largest(y.slice().sort(), k)).toHaveLength(k);
    }
  });
});

describe('--out', () => {
  it.each(['float32', 'float64'] as const)('writes the probabilities of every row as %s', async (type) => {
    const directory = temporaryDirectory();
    const [rows, cols] = [7, 331];
    const random = generator(7);
    const values = Array.from({ length: rows * cols }, () => 5 * normal(random));
    const x = type === 'float32' ? Float32Array.from(values) : Float64Array.from(values);
    const out = join(directory, 'y.npy');
    const { status, stdout, stderr } = await capture([
      'softmax',
      save(join(directory, 'x.npy'), x, [rows, cols]),
      '--out',
      out,
      '--temperature',
      '0.7',
    ]);
    expect([status, stdout, stderr]).toEqual([0, '', `Wrote ${out}: ${type} of shape (7, 331)\n`]);
    const y = parseNpy(readFileSync(out));
    expect([y.type, y.shape]).toEqual([type, [rows, cols]]);
    for (let row = 0; row < rows; row++) {
      const part = <A extends Float32Array | Float64Array>(a: A) => a.subarray(row * cols, (row + 1) * cols);
      const name = type === 'float32' ? 'f32' : 'f64';
      expect(worstError(name, part(y.data), oracle(part(x), 0.7)).error).toBeLessThanOrEqual(2);
    }
  });

  it('prints a table as well where --top asks for one', async () => {
    const directory = temporaryDirectory();
    const file = save(join(directory, 'x.npy'), Float32Array.of(1, 2));
    expect((await capture(['softmax', file, '--out', join(directory, 'y.npy'), '--top', '1'])).stdout).toContain(
      '    1     0.731059\n',
    );
    expect(readdirSync(directory).sort()).toEqual(['x.npy', 'y.npy']);
  });

  it('may replace its input, and follows a symbolic link', async () => {
    const directory = temporaryDirectory();
    const file = save(join(directory, 'x.npy'), Float32Array.of(0, 0));
    const link = join(directory, 'link.npy');
    symlinkSync('x.npy', link);
    expect((await capture(['softmax', file, '--out', link])).status).toBe(0);
    expect(readlinkSync(link)).toBe('x.npy');
    expect([...parseNpy(readFileSync(file)).data]).toEqual([0.5, 0.5]);
    expect(readdirSync(directory).sort()).toEqual(['link.npy', 'x.npy']);
  });

  it('leaves nothing behind, and what was there untouched, when it fails', async () => {
    const directory = temporaryDirectory();
    const good = save(join(directory, 'x.npy'), Float32Array.of(0, 0));
    const bad = join(directory, 'bad.npy');
    writeFileSync(bad, readFileSync(good).subarray(0, -1));
    const precious = join(directory, 'precious.npy');
    writeFileSync(precious, 'precious');
    mkdirSync(join(directory, 'directory'));
    const before = readdirSync(directory).sort();
    for (const [input, out] of [
      [bad, precious],
      [bad, join(directory, 'new.npy')],
      [good, join(directory, 'missing', 'new.npy')],
      [good, join(directory, 'directory')],
    ] as const) {
      const { status, stdout, stderr } = await capture(['softmax', input, '--out', out]);
      expect([status, stdout]).toEqual([1, '']);
      expect(stderr).toMatch(/^flash-softmax: [^\n]+\n$/);
    }
    expect(readdirSync(directory).sort()).toEqual(before);
    expect(readFileSync(precious, 'utf8')).toBe('precious');
  });
});

describe('a file it cannot use is one line on stderr and exit status 1', () => {
  it.each(['missing', 'a directory', 'empty', 'text'])('%s', async (what) => {
    const directory = temporaryDirectory();
    const file = what === 'a directory' ? directory : join(directory, 'x.npy');
    if (what === 'empty') writeFileSync(file, '');
    if (what === 'text') writeFileSync(file, '1 2 3\n');
    const { status, stdout, stderr } = await capture(['softmax', file]);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^flash-softmax: [^\n]+\n$/);
    expect(stderr).toContain(file);
  });
});
