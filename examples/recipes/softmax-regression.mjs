// Regression onto a distribution, and a classifier that drops features it does not need.
//
// In-context softmax regression (arXiv 2304.13276): x makes softmax(A x) close to b. A layer of attention moves x as a
// step of gradient descent does:
//      L(x) = ½ · |softmax(A x) − b|²      ∇L = Aᵀ (diag(p) − p pᵀ)(p − b) = Aᵀ softmaxBackward(p, p − b)
//
// ℓ1 thresholding (arXiv 2411.17180): W of a softmax classifier under the penalty λ · Σ |W| is found by steps of its
// gradient, each followed by soft thresholding. From λ₀ = max |∇ at W = 0| on, W = 0 is the minimum; a λ is chosen
// as a quantile of λ₀ over labels without a signal:
//      W ← soft(W − η ∇, η λ)      soft(w, t) = sign(w) · max(0, |w| − t)
import { crossEntropy, softmax, softmaxBackward } from 'flash-softmax';

const print = (name, values) => console.log(`${name}: ${Array.from(values).join(' ')}`);

const [rows, dim] = [4, 3];
const A = Float64Array.of(1, 0.5, -0.3, 0.2, -1, 0.7, -0.6, 0.4, 0.1, 0.9, 0.3, -0.8);
const b = Float64Array.of(0.1, 0.6, 0.1, 0.2);

/** ½ |softmax(A x) − b|² and its gradient. */
function regression(x) {
  const p = softmax(Float64Array.from({ length: rows }, (_, r) => x.reduce((s, v, d) => s + A[r * dim + d] * v, 0)));
  const rest = p.map((v, r) => v - b[r]);
  const back = softmaxBackward(p, rest);
  const gradient = x.map((_, d) => back.reduce((s, v, r) => s + A[r * dim + d] * v, 0));
  return { loss: rest.reduce((s, v) => s + (v * v) / 2, 0), gradient };
}

let x = new Float64Array(dim);
print('regression, loss and gradient at 0', [regression(x).loss, ...regression(x).gradient]);
for (let step = 0; step < 4000; step++) {
  const { gradient } = regression(x);
  x = x.map((v, d) => v - 4 * gradient[d]);
}
print('regression, loss after 4000 steps', [regression(x).loss]);

// Only the first two of six features tell the class.
const [samples, features, classes] = [60, 6, 3];
const inputs = Float64Array.from({ length: samples * features }, (_, i) => Math.sin(12.9898 * i) + Math.cos(i * i));
const labels = Int32Array.from({ length: samples }, (_, i) => {
  const [p, q] = inputs.subarray(i * features, i * features + 2);
  return p > 0.3 ? 0 : q > 0 ? 1 : 2;
});

/** Σ over samples of the gradient of crossEntropy by W, [features, classes]. */
function slopes(W) {
  const logits = new Float64Array(samples * classes);
  const sum = (i, c) =>
    W.reduce((s, w, at) => (at % classes === c ? s + w * inputs[i * features + (at - c) / classes] : s), 0);
  logits.forEach((_, at) => (logits[at] = sum(Math.floor(at / classes), at % classes)));
  crossEntropy(logits, labels, { cols: classes, gradient: logits });
  const by = (f, c) => labels.reduce((s, _, i) => s + inputs[i * features + f] * logits[i * classes + c], 0);
  return W.map((_, at) => by(Math.floor(at / classes), at % classes));
}

const none = new Float64Array(features * classes);
const most = Math.max(...slopes(none).map(Math.abs));
print('l1, λ₀', [most]);
for (const share of [1, 0.6, 0.1]) {
  let W = none;
  for (let step = 0; step < 400; step++) {
    const gradient = slopes(W);
    const soft = (w) => Math.sign(w) * Math.max(0, Math.abs(w) - 0.01 * share * most);
    W = W.map((w, at) => soft(w - 0.01 * gradient[at]));
  }
  const used = Array.from({ length: features }, (_, f) => f).filter((f) =>
    W.subarray(f * classes, (f + 1) * classes).some((w) => w !== 0),
  );
  print(`l1, features at ${share} λ₀`, used.length ? used : ['none']);
}
