// Times flash-softmax/ood beside a plain loop, and ml-matrix if a folder has it, in turns.
//
//   node bench/ood.mjs [rounds, default 3] [samples, default 10000] [dim, default 512] [folder with ml-matrix]
//
// Needs `npm run compile`. Ten classes of N(0,1) features. Median and best of the rounds.
import { createRequire } from 'node:module';
import path from 'node:path';
import { fitGaussians, mahalanobis } from 'flash-softmax/ood';
import { normal } from './numbers.mjs';
import { oneThread, show, turns } from './turns.mjs';

const [rounds, samples, dim] = [3, 10_000, 512].map((value, i) => Number(process.argv[2 + i] ?? value));
const folder = process.argv[5];
const classes = 10;

const labels = Int32Array.from({ length: samples }, (_, i) => i % classes);
const features = normal(samples * dim);

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

oneThread();
show(`${samples} × ${dim}, ${classes} classes`, await turns(work, { rounds }), 'fit, a plain loop');
