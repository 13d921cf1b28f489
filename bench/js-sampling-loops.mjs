// The loops that a person would write in place of flash-softmax/sampling and routing, for bench/js.mjs.

/** Draws from weights with a sum; `items` are their indices. */
function draw(weights, count, sum) {
  let left = Math.random() * sum;
  let i = 0;
  for (; i < count - 1; i++) {
    left -= weights[i];
    if (left < 0) break;
  }
  return i;
}

/** The k largest logits of a row, by a heap that is kept in two arrays: the root is the smallest. */
function heapOf(x, from, cols, k, values, indices) {
  const sift = (at, z, index) => {
    for (let child = 2 * at + 1; child < k; child = 2 * at + 1) {
      if (child + 1 < k && values[child + 1] < values[child]) child++;
      if (z <= values[child]) break;
      values[at] = values[child];
      indices[at] = indices[child];
      at = child;
    }
    values[at] = z;
    indices[at] = index;
  };
  for (let i = 0; i < k; i++) {
    values[i] = x[from + i];
    indices[i] = i;
  }
  for (let i = k >> 1; i-- > 0;) sift(i, values[i], indices[i]);
  for (let i = k; i < cols; i++) if (x[from + i] > values[0]) sift(0, x[from + i], i);
}

/** topK, then topP and minP: a heap written by hand. */
export function sampleChain({ x, tokens, rows, cols, k }) {
  const values = new Float64Array(k);
  const indices = new Int32Array(k);
  const weights = new Float64Array(k);
  for (let r = 0, from = 0; r < rows; r++, from += cols) {
    heapOf(x, from, cols, k, values, indices);
    const order = Array.from(indices.keys()).sort((a, b) => values[b] - values[a]);
    const top = values[order[0]];
    let sum = 0;
    for (let i = 0; i < k; i++) sum += weights[i] = Math.exp((values[order[i]] - top) / 0.8);
    let [count, kept] = [0, 0];
    while (count < k && kept < 0.95 * sum && weights[count] >= 0.05) kept += weights[count++];
    tokens[r] = indices[order[draw(weights, count, kept)]];
  }
}

export function topK({ x, rows, cols, k }) {
  const result = { indices: new Uint32Array(rows * k), values: new Float64Array(rows * k) };
  const values = new Float64Array(k);
  const indices = new Int32Array(k);
  for (let r = 0, from = 0; r < rows; r++, from += cols) {
    heapOf(x, from, cols, k, values, indices);
    const order = Array.from(indices.keys()).sort((a, b) => values[b] - values[a]);
    for (let i = 0; i < k; i++) {
      result.indices[r * k + i] = indices[order[i]];
      result.values[r * k + i] = values[order[i]];
    }
  }
  return result;
}

/** topP alone: softmax, and a sort of all tokens. */
export function sampleTopP({ x, tokens, rows, cols }) {
  const p = new Float64Array(cols);
  for (let r = 0, from = 0; r < rows; r++, from += cols) {
    let [top, sum] = [-Infinity, 0];
    for (let i = 0; i < cols; i++) if (x[from + i] > top) top = x[from + i];
    for (let i = 0; i < cols; i++) sum += p[i] = Math.exp(x[from + i] - top);
    const order = Uint32Array.from(p.keys()).sort((a, b) => p[b] - p[a]);
    let [count, kept] = [0, 0];
    while (count < cols && kept < 0.95 * sum) kept += p[order[count++]];
    let [left, i] = [Math.random() * kept, 0];
    for (; i < count - 1 && left >= 0; i++) left -= p[order[i]];
    tokens[r] = order[i];
  }
}

export function sampleMinP({ x, tokens, rows, cols }) {
  const p = new Float64Array(cols);
  for (let r = 0, from = 0; r < rows; r++, from += cols) {
    let [top, sum] = [-Infinity, 0];
    for (let i = 0; i < cols; i++) if (x[from + i] > top) top = x[from + i];
    for (let i = 0; i < cols; i++) {
      const e = Math.exp(x[from + i] - top);
      sum += p[i] = e >= 0.05 ? e : 0;
    }
    tokens[r] = draw(p, cols, sum);
  }
}

export function sampleAll({ x, tokens, rows, cols }) {
  const p = new Float64Array(cols);
  for (let r = 0, from = 0; r < rows; r++, from += cols) {
    let [top, sum] = [-Infinity, 0];
    for (let i = 0; i < cols; i++) if (x[from + i] > top) top = x[from + i];
    for (let i = 0; i < cols; i++) sum += p[i] = Math.exp((x[from + i] - top) / 0.8);
    tokens[r] = draw(p, cols, sum);
  }
}

/** A softmax over experts, and the k largest of them by insertion. */
export function route({ x, rows, cols, k }) {
  const [chosen, weights] = [new Uint32Array(rows * k), new Float32Array(rows * k)];
  for (let r = 0, from = 0; r < rows; r++, from += cols) {
    let [top, sum] = [-Infinity, 0];
    for (let i = 0; i < cols; i++) if (x[from + i] > top) top = x[from + i];
    for (let i = 0; i < cols; i++) sum += Math.exp(x[from + i] - top);
    const at = r * k;
    let count = 0;
    for (let i = 0; i < cols; i++) {
      const z = x[from + i];
      if (count === k && z <= x[from + chosen[at + k - 1]]) continue;
      let j = count < k ? count++ : k - 1;
      for (; j > 0 && z > x[from + chosen[at + j - 1]]; j--) chosen[at + j] = chosen[at + j - 1];
      chosen[at + j] = i;
    }
    for (let j = 0; j < k; j++) weights[at + j] = Math.exp(x[from + chosen[at + j]] - top) / sum;
  }
  return { chosen, weights };
}

export function loadBalance({ x, out, routes, rows, cols, k }) {
  const shares = Float64Array.from(routes.counts, (count) => (count * cols) / (rows * k));
  let loss = 0;
  for (let from = 0; from < rows * cols; from += cols) {
    let [top, sum, mean] = [-Infinity, 0, 0];
    for (let i = 0; i < cols; i++) if (x[from + i] > top) top = x[from + i];
    for (let i = 0; i < cols; i++) {
      const e = Math.exp(x[from + i] - top);
      out[from + i] = e;
      sum += e;
      mean += e * shares[i];
    }
    mean /= sum;
    loss += mean;
    for (let i = 0; i < cols; i++) out[from + i] = ((out[from + i] / sum) * (shares[i] - mean)) / rows;
  }
  return loss / rows;
}

export function routeBackward({ x, out, routes, slopes, rows, cols, k }) {
  const indices = routes.experts;
  for (let r = 0, from = 0; r < rows; r++, from += cols) {
    let [top, sum, mean] = [-Infinity, 0, 0];
    for (let i = 0; i < cols; i++) if (x[from + i] > top) top = x[from + i];
    for (let i = 0; i < cols; i++) {
      const e = Math.exp(x[from + i] - top);
      out[from + i] = e;
      sum += e;
    }
    for (let j = r * k; j < (r + 1) * k; j++) mean += (slopes[j] * out[from + indices[j]]) / sum;
    for (let i = 0; i < cols; i++) out[from + i] *= -mean / sum;
    for (let j = r * k; j < (r + 1) * k; j++) {
      const at = from + indices[j];
      out[at] += slopes[j] * (Math.exp(x[at] - top) / sum);
    }
  }
}
