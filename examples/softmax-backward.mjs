// The gradient of the entropy of probabilities with respect to the logits, checked by a finite difference.
import { softmax, softmaxBackward } from 'flash-softmax';

const x = Float64Array.of(1, -0.5, 2, 0);
const entropy = (logits) => softmax(logits).reduce((sum, p) => sum - p * Math.log(p), 0);

const y = softmax(x);
const dy = y.map((p) => -Math.log(p) - 1); // the gradient of the entropy with respect to the probabilities
const dx = softmaxBackward(y, dy);

x.forEach((_, i) => {
  const moved = (by) => entropy(x.map((v, j) => (j === i ? v + by : v)));
  const difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
  console.log(`[${i}] ${dx[i].toFixed(6)}, by a difference ${difference.toFixed(6)}`);
  if (Math.abs(dx[i] - difference) > 1e-8) process.exitCode = 1;
});
