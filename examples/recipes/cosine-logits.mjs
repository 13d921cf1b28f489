// Classifiers whose logits are cosines: fixed vectors for the classes, and a scale and margin that follow the data.
//
// EBV (equiangular basis vectors, arXiv 2303.11637): the classes' vectors w are given, of length 1 and at equal angles,
// so that only features z are trained:      loss = crossEntropy(cos(z, w) / τ)      τ = 0.07
//
// MadaCos of CFCD (arXiv 2308.04008, and its code): c̃ is the median of the targets' cosines in a batch, and B that
// row's Σ exp(s · cos) over the other classes. Its target then has the probability α:
//      s = max(32, ln(9999999 · (1 − α) / α) / (1 − c̃))      m = max(0, c̃ − ln(B · α / (1 − α)) / s)
import { crossEntropy, logSumExp } from 'flash-softmax';
import { marginCrossEntropy } from 'flash-softmax/losses';

const print = (name, values) => console.log(`${name}: ${Array.from(values).join(' ')}`);

/** The vectors of a regular simplex, as rows: their cosines are −1 / (n − 1). */
function simplex(n) {
  const length = Math.sqrt(1 - 1 / n);
  return Float64Array.from({ length: n * n }, (_, i) => ((i % (n + 1) === 0 ? 1 : 0) - 1 / n) / length);
}

/** The cosines of rows z and w. */
function cosines(z, w, dim) {
  const lengths = (x) => Array.from({ length: x.length / dim }, (_, r) => Math.hypot(...row(x, r)));
  const row = (x, r) => x.subarray(r * dim, (r + 1) * dim);
  const [a, b] = [lengths(z), lengths(w)];
  const dot = (i, j) => row(z, i).reduce((sum, x, d) => sum + x * w[j * dim + d], 0);
  return Float64Array.from(a.flatMap((p, i) => b.map((q, j) => dot(i, j) / (p * q))));
}

const classes = 4;
const z = Float64Array.of(2, 0.5, -1, 0, 0.1, 3, -0.2, -1, -1, 0.4, 1.5, 0.3);
const targets = Int32Array.of(0, 1, 2);
const cos = cosines(z, simplex(classes), classes);
const gradient = new Float64Array(cos.length);
print('EBV loss', crossEntropy(cos, targets, { cols: classes, temperature: 0.07, gradient }));
print('EBV gradient', gradient);

/** The scale and margin of a batch. */
function madaCos(cos, targets, cols, alpha = 0.1) {
  const own = Array.from(targets, (t, r) => cos[r * cols + t]);
  const order = own.map((_, r) => r).sort((a, b) => own[a] - own[b]);
  const middle = order[(order.length - 1) >> 1];
  const scale = Math.max(32, Math.log((9999999 * (1 - alpha)) / alpha) / (1 - own[middle]));
  const others = Uint8Array.from({ length: cols }, (_, c) => (c === targets[middle] ? 0 : 1));
  const row = cos.subarray(middle * cols, (middle + 1) * cols);
  const [logB] = logSumExp(row, { mask: others, temperature: 1 / scale });
  const margin = Math.max(0, own[middle] - (logB + Math.log(alpha / (1 - alpha))) / scale);
  return { scale, margin, middle };
}

const { scale, margin, middle } = madaCos(cos, targets, classes);
const losses = marginCrossEntropy(cos, targets, { cols: classes, kind: 'cos', scale, margin });
print('MadaCos scale and margin', [scale, margin]);
print('MadaCos loss', losses);
print('MadaCos probability of the median', [Math.exp(-losses[middle])]);
