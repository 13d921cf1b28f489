/** The programs of examples/recipes run on the built package, and print what plain formulas give. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { root } from '../support/emulated.js';
import { isLong } from '../support/long.js';
import { run } from '../support/run.js';

const folder = path.join(root, 'examples', 'recipes');
const sum = (x: readonly number[]) => x.reduce((a, b) => a + b, 0);
const lse = (x: readonly number[]) => Math.log(sum(x.map(Math.exp)));
const softmax = (x: readonly number[]) => x.map((v) => Math.exp(v - lse(x)));
const rowsOf = (x: readonly number[], cols: number) =>
  Array.from({ length: x.length / cols }, (_, r) => x.slice(r * cols, (r + 1) * cols));

type Printed = Record<string, readonly number[]>;

/** What each program prints, computed here. */
const wanted: Record<string, () => Printed> = {
  'cosine-logits.mjs'() {
    const z = rowsOf([2, 0.5, -1, 0, 0.1, 3, -0.2, -1, -1, 0.4, 1.5, 0.3], 4);
    // The cosine with a vertex of the simplex is that with e_i − 1/n.
    const cosines = z.map((row) => row.map((x) => (x - sum(row) / 4) / Math.hypot(...row) / Math.sqrt(0.75)));
    const logits = cosines.map((row) => row.map((c) => c / 0.07));
    const own = cosines.map((row, r) => row[r]!);
    const middle = own.indexOf([...own].sort((a, b) => a - b)[1]!);
    const s = Math.max(32, Math.log(9999999 * 9) / (1 - own[middle]!));
    const b = sum(cosines[middle]!.filter((_, c) => c !== middle).map((c) => Math.exp(s * c)));
    const m = Math.max(0, own[middle]! - Math.log(b / 9) / s);
    const losses = cosines.map((row, r) => {
      const others = row.map((c) => s * c - s * (row[r]! - m)).filter((_, c) => c !== r);
      return Math.log1p(sum(others.map(Math.exp)));
    });
    return {
      'EBV loss': logits.map((row, r) => lse(row) - row[r]!),
      'EBV gradient': logits.flatMap((row, r) => softmax(row).map((p, c) => (p - (c === r ? 1 : 0)) / 0.07)),
      'MadaCos scale and margin': [s, m],
      'MadaCos loss': losses,
      'MadaCos probability of the median': [0.1],
    };
  },
  'soft-labels.mjs'() {
    const product = [0.28, 0.08, 0.02].map((v) => v / 0.38);
    const item = [1, 0.5, -1];
    const loss = (p: readonly number[], x: readonly number[]) => -sum(softmax(x).map((q, c) => p[c]! * Math.log(q)));
    const teacher = rowsOf([4, 1, 0, 3, 0, 1, 0, 5, 2, 2, 3, 0, 1, 0, 2], 3);
    const labels = [0, 0, 1, 1, 2];
    const p = teacher.map(softmax);
    const kl = p.map((row, r) => {
      const same = p.filter((_, other) => labels[other] === labels[r]);
      return sum(row.map((v, c) => v * Math.log((v * same.length) / sum(same.map((each) => each[c]!)))));
    });
    const cmi = sum(kl) / 5;
    const likelihood = -sum(p.map((row, r) => Math.log(row[labels[r]!]!))) / 5;
    const soft = teacher.map((row) => softmax(row.map((x) => x / 4)));
    const student = teacher.map((row, r) =>
      loss(
        soft[r]!,
        row.map((x) => x / 12),
      ),
    );
    return {
      average: [0.55, 0.3, 0.15],
      conflation: product,
      'loss of the average': [loss([0.55, 0.3, 0.15], item)],
      'loss of the conflation': [loss(product, item)],
      CMI: [cmi],
      "teacher's loss": [likelihood - 0.15 * cmi],
      "student's loss": [sum(student) / 5],
    };
  },
  'softmax-regression.mjs'() {
    const A = rowsOf([1, 0.5, -0.3, 0.2, -1, 0.7, -0.6, 0.4, 0.1, 0.9, 0.3, -0.8], 3);
    const b = [0.1, 0.6, 0.1, 0.2];
    const loss = (x: readonly number[]) =>
      sum(softmax(A.map((row) => sum(row.map((a, d) => a * x[d]!)))).map((p, r) => (p - b[r]!) ** 2 / 2));
    const slope = (d: number) => {
      const at = (h: number) => loss([0, 1, 2].map((e) => (e === d ? h : 0)));
      return (8 * (at(1e-3) - at(-1e-3)) - (at(2e-3) - at(-2e-3))) / 12e-3;
    };
    // At W = 0 all classes have the probability 1/3.
    const inputs = Array.from({ length: 360 }, (_, i) => Math.sin(12.9898 * i) + Math.cos(i * i));
    const samples = rowsOf(inputs, 6).map((x) => ({ x, label: x[0]! > 0.3 ? 0 : x[1]! > 0 ? 1 : 2 }));
    const slopes = [0, 1, 2].flatMap((c) =>
      Array.from({ length: 6 }, (_, f) => sum(samples.map(({ x, label }) => x[f]! * (1 / 3 - (label === c ? 1 : 0))))),
    );
    return {
      'regression, loss and gradient at 0': [loss([0, 0, 0]), slope(0), slope(1), slope(2)],
      'regression, loss after 4000 steps': [0],
      'l1, λ₀': [Math.max(...slopes.map(Math.abs))],
      'l1, features at 1 λ₀': [],
      'l1, features at 0.6 λ₀': [0, 1],
    };
  },
  'other-learning.mjs'() {
    const logits = rowsOf([1.5, -0.2, 0.3, -1, 2, -3], 3);
    const x = [Math.cos(0.3), Math.sin(0.3)];
    const W = rowsOf([0.6, 0.8, -1, 0.1, 0.1, -0.9], 2);
    const u = W.map((row) => row[0]! * x[0]! + row[1]! * x[1]!);
    const y = softmax(u.map((v) => v / 0.2));
    return {
      'L2-SVM loss': [0.7766666666666667, 0],
      'L2-SVM gradient': [0, (2 * 0.8) / 3, (2 * 1.3) / 3, 0, 0, 0],
      'crossEntropy of the same': logits.map((row, r) => lse(row) - row[r]!),
      'Hebbian, first activity': y,
      'Hebbian, first weights': W.flatMap((row, k) => row.map((w, d) => w + 0.05 * y[k]! * (x[d]! - u[k]! * w))),
    };
  },
};

describe('examples/recipes', () => {
  const files = readdirSync(folder);
  it('are all tested, short, and in the guide', () => {
    expect(Object.keys(wanted).sort()).toEqual([...files].sort());
    const guide = readFileSync(path.join(root, 'guides', 'recipes.md'), 'utf8');
    for (const file of files) {
      expect(readFileSync(path.join(folder, file), 'utf8').split('\n').length).toBeLessThanOrEqual(81);
      expect(guide).toContain(`examples/recipes/${file}`);
    }
  });

  const chosen = isLong ? backends : [...new Set([backends[0]!, 'js'])];
  it.each(files.flatMap((file) => chosen.map((name) => [file, name] as const)))('%s, %s', async (file, name) => {
    const output = await run(process.execPath, [path.join(folder, file)], {
      cwd: root,
      env: { FLASH_SOFTMAX_BACKEND: name },
    });
    const printed: Record<string, number[]> = Object.fromEntries(
      output
        .trim()
        .split('\n')
        .map((line) => line.split(': ') as [string, string])
        .map(([title, numbers]) => [title, numbers === 'none' ? [] : numbers.split(' ').map(Number)]),
    );
    for (const [title, values] of Object.entries(wanted[file]!())) {
      expect(printed[title], title).toHaveLength(values.length);
      values.forEach((v, i) => expect(printed[title]![i]!, `${title} ${i}`).toBeCloseTo(v, 11));
    }
    if (file === 'other-learning.mjs') {
      printed['Hebbian, lengths']!.forEach((length) => expect(length).toBeCloseTo(1, 2));
      [0.3, 2.4, 4.5].forEach((angle, k) => expect(printed['Hebbian, angles']![k]).toBeCloseTo(angle, 1));
    }
  });
});
