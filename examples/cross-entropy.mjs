// Trains a linear classifier by gradient descent, with crossEntropy and its gradient.
import { crossEntropy } from 'flash-softmax';

// Points on three arms. The target −100 is no label: the last row does not count.
const points = [
  [2, 0],
  [3, 0.5],
  [-1, 2],
  [-1.5, 3],
  [-1, -2],
  [-1.5, -3],
  [9, 9],
];
const targets = Int32Array.of(0, 0, 1, 1, 2, 2, -100);
const [classes, features] = [3, 2];

const weights = new Float64Array(classes * features);
const logits = new Float64Array(points.length * classes);
const gradient = new Float64Array(logits.length);
const mean = (losses) => losses.reduce((a, b) => a + b, 0) / targets.filter((t) => t >= 0).length;

for (let step = 0; step <= 200; step++) {
  points.forEach((point, r) => {
    for (let k = 0; k < classes; k++)
      logits[r * classes + k] = point.reduce((sum, v, f) => sum + v * weights[k * features + f], 0);
  });
  const losses = crossEntropy(logits, targets, { cols: classes, gradient });
  if (step % 100 === 0) console.log(`step ${step}: loss ${mean(losses).toFixed(4)}`);
  points.forEach((point, r) => {
    for (let k = 0; k < classes; k++)
      for (let f = 0; f < features; f++) weights[k * features + f] -= 0.1 * gradient[r * classes + k] * point[f];
  });
}
