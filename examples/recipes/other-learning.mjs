// Learning without the gradient of crossEntropy: a hinge loss of logits, and a Hebbian rule on softmax.
//
// L2-SVM on the logits of a CNN (Tang, arXiv 1306.0239): one against all others, y = 1 for the target and −1 elsewhere:
//      loss = mean over classes of max(0, 1 − y · l)²      ∂ = −2 y · max(0, 1 − y · l) / classes
//
// Hebbian softmax (SoftHebb, arXiv 2107.05747): neurons compete by softmax, and each turns towards what it won, without
// labels and without an error that is sent back. Weights come to have the length 1:
//      u = W x      y = softmax(u / T)      ΔW[k] = η · y[k] · (x − u[k] · W[k])
import { crossEntropy, softmax } from 'flash-softmax';

const print = (name, values) => console.log(`${name}: ${Array.from(values).join(' ')}`);

/** The loss of each row and, in `gradient`, its slopes. */
function squaredHinge(logits, targets, { cols, gradient }) {
  const losses = new Float64Array(targets.length);
  logits.forEach((l, at) => {
    const [row, c] = [Math.floor(at / cols), at % cols];
    const y = c === targets[row] ? 1 : -1;
    const missing = Math.max(0, 1 - y * l);
    losses[row] += (missing * missing) / cols;
    if (gradient) gradient[at] = (-2 * y * missing) / cols;
  });
  return losses;
}

const logits = Float64Array.of(1.5, -0.2, 0.3, -1, 2, -3);
const targets = Int32Array.of(0, 1);
const gradient = new Float64Array(logits.length);
print('L2-SVM loss', squaredHinge(logits, targets, { cols: 3, gradient }));
print('L2-SVM gradient', gradient);
// A row with all margins of 1 has no gradient, where that of crossEntropy never ends.
print('crossEntropy of the same', crossEntropy(logits, targets, { cols: 3 }));

/** A step for one sample; returns the neurons' activity. */
function hebbianStep(W, x, { rate, temperature }) {
  const neurons = W.length / x.length;
  const dot = (k) => x.reduce((sum, v, d) => sum + v * W[k * x.length + d], 0);
  const u = Float64Array.from({ length: neurons }, (_, k) => dot(k));
  const y = softmax(u, { temperature });
  W.forEach((w, at) => {
    const k = Math.floor(at / x.length);
    W[at] = w + rate * y[k] * (x[at % x.length] - u[k] * w);
  });
  return y;
}

// Three directions with noise, in turns.
const directions = [0.3, 2.4, 4.5];
const sample = (i) => {
  const angle = directions[i % 3] + 0.2 * Math.sin(7.3 * i);
  return Float64Array.of(Math.cos(angle), Math.sin(angle));
};
const W = Float64Array.of(0.6, 0.8, -1, 0.1, 0.1, -0.9);
print('Hebbian, first activity', hebbianStep(W, sample(0), { rate: 0.05, temperature: 0.2 }));
print('Hebbian, first weights', W);
for (let i = 1; i < 3000; i++) hebbianStep(W, sample(i), { rate: 0.05, temperature: 0.2 });
print(
  'Hebbian, lengths',
  [0, 2, 4].map((k) => Math.hypot(W[k], W[k + 1])),
);
print(
  'Hebbian, angles',
  [0, 2, 4].map((k) => (Math.atan2(W[k + 1], W[k]) + 2 * Math.PI) % (2 * Math.PI)),
);
