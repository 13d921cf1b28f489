// Times attentionBackward beside attention itself, and beside plain loops in JavaScript, in turns.
//
//   node bench/attention-backward.mjs [rounds, default 9]
//
// Needs `npm run compile`. Normal q, k, v and dOut. Median and best of the rounds, in processor time of one thread.
import { attention, attentionBackward } from 'flash-softmax/attention';
import { normal } from './numbers.mjs';
import { oneThread, processorTime, show, turns } from './turns.mjs';

const rounds = Number(process.argv[2] ?? 9);

/** The gradients as a program without a library has them: a row of scores at a time, in double. */
function plainLoops({ q, k, v, dOut, out, lse }, { heads, n, d, causal }) {
  const [dq, dk, dv] = [q, k, v].map((x) => new Float64Array(x.length));
  const scale = 1 / Math.sqrt(d);
  for (let h = 0; h < heads; h++) {
    for (let m = h * n; m < (h + 1) * n; m++) {
      let lost = 0;
      for (let i = 0; i < d; i++) lost += dOut[m * d + i] * out[m * d + i];
      for (let j = h * n; j < (causal ? m + 1 : (h + 1) * n); j++) {
        let score = 0;
        let product = 0;
        for (let i = 0; i < d; i++) {
          score += q[m * d + i] * k[j * d + i];
          product += dOut[m * d + i] * v[j * d + i];
        }
        const weight = Math.exp(score * scale - lse[m]);
        const slope = weight * (product - lost) * scale;
        for (let i = 0; i < d; i++) {
          dv[j * d + i] += weight * dOut[m * d + i];
          dq[m * d + i] += slope * k[j * d + i];
          dk[j * d + i] += slope * q[m * d + i];
        }
      }
    }
  }
  return [dq, dk, dv].map((x) => Float32Array.from(x));
}

oneThread();
for (const [heads, n, d, causal] of [
  [8, 512, 64, false],
  [8, 512, 64, true],
  [4, 1024, 128, true],
]) {
  const [q, k, v, dOut] = [1, 2, 3, 4].map((seed) => normal(heads * n * d, 1, seed));
  const options = { heads, headDim: d, causal };
  const forward = attention(q, k, v, { ...options, lse: true });
  const inputs = { ...options, ...forward };
  const tasks = {
    attention: () => attention(q, k, v, options),
    attentionBackward: () => attentionBackward(q, k, v, dOut, inputs),
    'dq alone': () => attentionBackward(q, k, v, dOut, { ...inputs, dk: null, dv: null }),
    'dk and dv alone': () => attentionBackward(q, k, v, dOut, { ...inputs, dq: null }),
    'plain loops': () => plainLoops({ q, k, v, dOut, ...forward }, { heads, n, d, causal }),
  };
  const title = `${heads} heads × ${n} × ${d}${causal ? ', causal' : ''}`;
  show(title, await turns(tasks, { rounds, clock: processorTime }), 'attention');
}
