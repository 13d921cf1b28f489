// Times flash-softmax/ood beside a plain loop, and ml-matrix if a folder has it, in turns.
//
//   node bench/ood.mjs [rounds, default 3] [samples, default 10000] [dim, default 512] [folder with ml-matrix]
//
// Needs `npm run compile`. Ten classes of N(0,1) features. Median and best of the rounds, milliseconds a call.
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import path from 'node:path';
import { fitGaussians, mahalanobis } from 'flash-softmax/ood';

const [rounds, samples, dim] = [3, 10_000, 512].map((value, i) => Number(process.argv[2 + i] ?? value));
const folder = process.argv[5];
const classes = 10;

let state = 12345;
const uniform = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
const labels = Int32Array.from({ length: samples }, (_, i) => i % classes);
const features = Float32Array.from({ length: samples * dim }, normal);

function centered() {
  const [means, counts] = [new Float64Array(classes * dim), new Float64Array(classes)];
  labels.forEach((label, s) => {
    counts[label]++;
    for (let i = 0; i < dim; i++) means[label * dim + i] += features[s * dim + i];
  });
  for (let at = 0; at < means.length; at++) means[at] /= counts[Math.floor(at / dim)];
  return Float64Array.from(features, (x, at) => x - means[labels[Math.floor(at / dim)] * dim + (at % dim)]);
}

/** The covariance as its definition has it. */
function plainFit() {
  const x = centered();
  const covariance = new Float64Array(dim * dim);
  for (let s = 0; s < samples; s++) {
    for (let i = 0; i < dim; i++) {
      const own = x[s * dim + i];
      for (let j = 0; j <= i; j++) covariance[i * dim + j] += own * x[s * dim + j];
    }
  }
  return covariance.map((sum) => sum / samples);
}

const model = fitGaussians(features, labels);
const work = {
  fitGaussians: () => fitGaussians(features, labels),
  'fit, a plain loop': plainFit,
  mahalanobis: () => mahalanobis(features, model),
};
if (folder !== undefined) {
  const { Matrix, inverse } = createRequire(path.resolve(folder, 'x.js'))('ml-matrix');
  const of = (x) => Matrix.from1DArray(x.length / dim, dim, x);
  work['fit, ml-matrix'] = () => {
    const x = of(centered());
    return x.transpose().mmul(x).div(samples);
  };
  work['distances, ml-matrix'] = () => {
    const inverted = inverse(of(model.covariance));
    const scores = new Float64Array(samples).fill(-Infinity);
    for (let c = 0; c < classes; c++) {
      const mean = model.means.subarray(c * dim, (c + 1) * dim);
      const x = of(Float64Array.from(features, (v, at) => v - mean[at % dim]));
      const y = x.mmul(inverted);
      for (let s = 0; s < samples; s++) {
        let square = 0;
        for (let i = 0; i < dim; i++) square += x.get(s, i) * y.get(s, i);
        scores[s] = Math.max(scores[s], -square);
      }
    }
    return scores;
  };
}

console.log(`${cpus()[0].model.trim()}, ${samples} × ${dim}, ${classes} classes, ${rounds} rounds in turns`);
const times = Object.fromEntries(Object.keys(work).map((name) => [name, []]));
for (let round = 0; round < rounds; round++) {
  for (const [name, run] of Object.entries(work)) {
    const from = performance.now();
    run();
    times[name].push(performance.now() - from);
  }
}
for (const [name, all] of Object.entries(times)) {
  const sorted = all.sort((a, b) => a - b);
  const [median, best] = [sorted[rounds >> 1], sorted[0]].map((ms) => ms.toFixed(0).padStart(10));
  console.log(`${name.padEnd(28)}${median}${best}`);
}
