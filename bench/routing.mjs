// Times flash-softmax/routing beside a plain loop with a sort, in turns.
//
//   node bench/routing.mjs [rounds, default 30]
//
// Needs `npm run compile`. 4,096 tokens × 256 experts, k 8, softmax of N(0,1) logits, one thread. Median and best of
// the rounds.
import { dispatchPlan, loadBalanceLoss, route, routeBackward } from 'flash-softmax/routing';
import { normal } from './numbers.mjs';
import { oneThread, show, turns } from './turns.mjs';

const rounds = Number(process.argv[2] ?? 30);
const [tokens, experts, k] = [4096, 256, 8];
const logits = normal(tokens * experts);

/** A program without a library: a softmax of each token, and a sort of its experts. */
function plainLoop() {
  const [chosen, weights] = [new Uint32Array(tokens * k), new Float32Array(tokens * k)];
  for (let t = 0; t < tokens; t++) {
    const row = logits.subarray(t * experts, (t + 1) * experts);
    const top = row.reduce((a, b) => Math.max(a, b));
    const terms = Array.from(row, (x) => Math.exp(x - top));
    const sum = terms.reduce((a, b) => a + b);
    const order = Array.from(row.keys()).sort((a, b) => row[b] - row[a]);
    for (let j = 0; j < k; j++) {
      chosen[t * k + j] = order[j];
      weights[t * k + j] = terms[order[j]] / sum;
    }
  }
  return weights;
}

const options = { experts, k };
const routes = route(logits, options);
const slopes = normal(tokens * k, 1, 7);
const [gradient, out] = [new Float32Array(logits.length), new Float32Array(logits.length)];
const selectBias = new Float32Array(experts);
const sigmoid = { ...options, score: 'sigmoid', normalize: 'sum', scale: 2.5, selectBias, groups: 8, topGroups: 4 };
const work = {
  route: () => route(logits, options),
  "route, normalize 'sum'": () => route(logits, { ...options, normalize: 'sum' }),
  'route, as DeepSeek-V3': () => route(logits, sigmoid),
  'route, a capacity': () => route(logits, { ...options, capacity: { factor: 1.25 } }),
  dispatchPlan: () => dispatchPlan(routes),
  loadBalanceLoss: () => loadBalanceLoss(routes, logits),
  'loadBalanceLoss, gradient': () => loadBalanceLoss(routes, logits, { gradient }),
  routeBackward: () => routeBackward(routes, slopes, logits, { out }),
  'a plain loop, a sort': plainLoop,
};

oneThread();
show(`${tokens} tokens, ${experts} experts, k ${k}`, await turns(work, { rounds }), 'a plain loop, a sort');
