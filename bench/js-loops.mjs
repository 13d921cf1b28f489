// The loops that a person would write in place of the package: Math.exp, the largest logit subtracted. Each takes the
// arrays of a case (bench/js.mjs, `caseOf`), with rows of `cols` one after the other.

/** Calls a task for the bounds of each row. */
const eachRow = ({ rows, cols }, task) => {
  for (let r = 0; r < rows; r++) task(r * cols, (r + 1) * cols, r);
};

export function softmax({ x, out, rows, cols }) {
  for (let from = 0; from < rows * cols; from += cols) {
    const to = from + cols;
    let [top, sum] = [-Infinity, 0];
    for (let i = from; i < to; i++) if (x[i] > top) top = x[i];
    for (let i = from; i < to; i++) {
      const e = Math.exp(x[i] - top);
      out[i] = e;
      sum += e;
    }
    for (let i = from; i < to; i++) out[i] /= sum;
  }
}

export function softmaxBiased({ x, out, bias, rows, cols }) {
  for (let from = 0; from < rows * cols; from += cols) {
    let [top, sum] = [-Infinity, 0];
    for (let c = 0; c < cols; c++) {
      const z = x[from + c] + bias[c];
      if (z > top) top = z;
    }
    for (let c = 0; c < cols; c++) {
      const e = Math.exp(x[from + c] + bias[c] - top);
      out[from + c] = e;
      sum += e;
    }
    for (let c = 0; c < cols; c++) out[from + c] /= sum;
  }
}

export function softmaxMasked({ x, out, mask, rows, cols }) {
  for (let from = 0; from < rows * cols; from += cols) {
    const to = from + cols;
    let [top, sum] = [-Infinity, 0];
    for (let i = from; i < to; i++) if (mask[i] !== 0 && x[i] > top) top = x[i];
    for (let i = from; i < to; i++) {
      const e = mask[i] !== 0 ? Math.exp(x[i] - top) : 0;
      out[i] = e;
      sum += e;
    }
    for (let i = from; i < to; i++) out[i] /= sum;
  }
}

export function logSoftmax({ x, out, rows, cols }) {
  for (let from = 0; from < rows * cols; from += cols) {
    const to = from + cols;
    let [top, sum] = [-Infinity, 0];
    for (let i = from; i < to; i++) if (x[i] > top) top = x[i];
    for (let i = from; i < to; i++) sum += Math.exp(x[i] - top);
    const lse = top + Math.log(sum);
    for (let i = from; i < to; i++) out[i] = x[i] - lse;
  }
}

export function logSumExp({ x, sums, rows, cols }) {
  for (let r = 0, from = 0; r < rows; r++, from += cols) {
    let [top, sum] = [-Infinity, 0];
    for (let i = from; i < from + cols; i++) if (x[i] > top) top = x[i];
    for (let i = from; i < from + cols; i++) sum += Math.exp(x[i] - top);
    sums[r] = top + Math.log(sum);
  }
}

export function crossEntropy({ x, targets, sums, rows, cols }) {
  for (let r = 0, from = 0; r < rows; r++, from += cols) {
    let [top, sum] = [-Infinity, 0];
    for (let i = from; i < from + cols; i++) if (x[i] > top) top = x[i];
    for (let i = from; i < from + cols; i++) sum += Math.exp(x[i] - top);
    sums[r] = top + Math.log(sum) - x[from + targets[r]];
  }
}

export function crossEntropyGradient({ x, targets, sums, out, rows, cols }) {
  for (let r = 0, from = 0; r < rows; r++, from += cols) {
    let [top, sum] = [-Infinity, 0];
    for (let i = from; i < from + cols; i++) if (x[i] > top) top = x[i];
    for (let i = from; i < from + cols; i++) {
      const e = Math.exp(x[i] - top);
      out[i] = e;
      sum += e;
    }
    for (let i = from; i < from + cols; i++) out[i] /= sum;
    sums[r] = top + Math.log(sum) - x[from + targets[r]];
    out[from + targets[r]] -= 1;
  }
}

export function focalGradient({ x, targets, sums, out, rows, cols }) {
  for (let r = 0, from = 0; r < rows; r++, from += cols) {
    let [top, sum] = [-Infinity, 0];
    for (let i = from; i < from + cols; i++) if (x[i] > top) top = x[i];
    for (let i = from; i < from + cols; i++) {
      const e = Math.exp(x[i] - top);
      out[i] = e;
      sum += e;
    }
    const p = out[from + targets[r]] / sum;
    const log = Math.log(p);
    sums[r] = -((1 - p) ** 2) * log;
    const factor = (1 - p) ** 2 - 2 * (1 - p) * p * log;
    for (let i = from; i < from + cols; i++) out[i] *= factor / sum;
    out[from + targets[r]] -= factor;
  }
}

export function smoothedGradient({ x, targets, sums, out, rows, cols }) {
  const [even, rest] = [0.1 / cols, 0.9];
  for (let r = 0, from = 0; r < rows; r++, from += cols) {
    let [top, sum, total] = [-Infinity, 0, 0];
    for (let i = from; i < from + cols; i++) {
      total += x[i];
      if (x[i] > top) top = x[i];
    }
    for (let i = from; i < from + cols; i++) {
      const e = Math.exp(x[i] - top);
      out[i] = e;
      sum += e;
    }
    const lse = top + Math.log(sum);
    sums[r] = rest * (lse - x[from + targets[r]]) + 0.1 * (lse - total / cols);
    for (let i = from; i < from + cols; i++) out[i] = out[i] / sum - even;
    out[from + targets[r]] -= rest;
  }
}

export function softmaxBackward({ p, dy, out, rows, cols }) {
  for (let from = 0; from < rows * cols; from += cols) {
    let sum = 0;
    for (let i = from; i < from + cols; i++) sum += p[i] * dy[i];
    for (let i = from; i < from + cols; i++) out[i] = p[i] * (dy[i] - sum);
  }
}

export function logSoftmaxBackward({ logs, dy, out, rows, cols }) {
  for (let from = 0; from < rows * cols; from += cols) {
    let sum = 0;
    for (let i = from; i < from + cols; i++) sum += dy[i];
    for (let i = from; i < from + cols; i++) out[i] = dy[i] - Math.exp(logs[i]) * sum;
  }
}

export function stableMax({ x, out, rows, cols }) {
  for (let from = 0; from < rows * cols; from += cols) {
    let sum = 0;
    for (let i = from; i < from + cols; i++) {
      const s = x[i] < 0 ? 1 / (1 - x[i]) : x[i] + 1;
      out[i] = s;
      sum += s;
    }
    for (let i = from; i < from + cols; i++) out[i] /= sum;
  }
}

export function logStableMax({ x, out, rows, cols }) {
  for (let from = 0; from < rows * cols; from += cols) {
    let sum = 0;
    for (let i = from; i < from + cols; i++) {
      const s = x[i] < 0 ? 1 / (1 - x[i]) : x[i] + 1;
      out[i] = s;
      sum += s;
    }
    for (let i = from; i < from + cols; i++) out[i] = Math.log(out[i] / sum);
  }
}

export function stableMaxGradient({ x, targets, sums, out, rows, cols }) {
  for (let r = 0, from = 0; r < rows; r++, from += cols) {
    let sum = 0;
    for (let i = from; i < from + cols; i++) {
      const s = x[i] < 0 ? 1 / (1 - x[i]) : x[i] + 1;
      out[i] = s;
      sum += s;
    }
    const at = from + targets[r];
    sums[r] = -Math.log(out[at] / sum);
    for (let i = from; i < from + cols; i++) {
      const p = out[i] / sum;
      out[i] = (p - (i === at ? 1 : 0)) / (1 + Math.abs(x[i]));
    }
  }
}

export function taylorSoftmax({ x, out, rows, cols }) {
  for (let from = 0; from < rows * cols; from += cols) {
    let sum = 0;
    for (let i = from; i < from + cols; i++) {
      const t = 1 + x[i] * (1 + x[i] / 2);
      out[i] = t;
      sum += t;
    }
    for (let i = from; i < from + cols; i++) out[i] /= sum;
  }
}

export function zLoss({ x, targets, sums, out, rows, cols }) {
  for (let r = 0, from = 0; r < rows; r++, from += cols) {
    let [sum, squares] = [0, 0];
    for (let i = from; i < from + cols; i++) sum += x[i];
    const mean = sum / cols;
    for (let i = from; i < from + cols; i++) squares += (x[i] - mean) ** 2;
    const std = Math.sqrt(squares / cols);
    const z = (x[from + targets[r]] - mean) / std;
    const below = Math.exp(1 - z);
    sums[r] = Math.log(1 + below);
    const slope = below / (1 + below) / std;
    const [ofAll, ofDistance] = [slope / cols, (slope * z) / std / cols];
    for (let i = from; i < from + cols; i++) out[i] = ofAll + ofDistance * (x[i] - mean);
    out[from + targets[r]] -= slope;
  }
}

export function softTopK(data) {
  const { x, out, k } = data;
  eachRow(data, (from, to) => {
    let [low, high] = [-20, 20];
    for (let step = 0; step < 30; step++) {
      const t = (low + high) / 2;
      let sum = 0;
      for (let i = from; i < to; i++) sum += 1 / (1 + Math.exp(-x[i] - t));
      if (sum > k) high = t;
      else low = t;
    }
    for (let i = from; i < to; i++) out[i] = 1 / (1 + Math.exp(-x[i] - low));
  });
}

export function softTopKBackward({ p, dy, out, rows, cols }) {
  for (let from = 0; from < rows * cols; from += cols) {
    let [weights, products] = [0, 0];
    for (let i = from; i < from + cols; i++) {
      const v = p[i] * (1 - p[i]);
      weights += v;
      products += v * dy[i];
    }
    const mean = products / weights;
    for (let i = from; i < from + cols; i++) out[i] = p[i] * (1 - p[i]) * (dy[i] - mean);
  }
}

export function safeStepRadius({ x, sums, rows, cols }) {
  for (let r = 0, from = 0; r < rows; r++, from += cols) {
    let [most, least] = [-Infinity, Infinity];
    for (let i = from; i < from + cols; i++) {
      if (x[i] > most) most = x[i];
      if (x[i] < least) least = x[i];
    }
    sums[r] = Math.PI / (most - least);
  }
}

export function argmax({ x, tokens, rows, cols }) {
  for (let r = 0, from = 0; r < rows; r++, from += cols) {
    let best = from;
    for (let i = from + 1; i < from + cols; i++) if (x[i] > x[best]) best = i;
    tokens[r] = best - from;
  }
}
