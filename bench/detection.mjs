// Times flash-softmax/detection beside a plain loop in JavaScript, and TensorFlow.js if bench/peers has it, in turns.
//
//   node bench/detection.mjs [rounds, default 15]
//
// Needs `npm run compile`. Boxes: centres uniform in 640², sides from 8 to 200, scores u⁴. Gaussian 0.5, threshold
// 0.001, all rounds. Median and best of the rounds, milliseconds a call.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { decodeYolo, iouMatrix, nms, softNMS } from 'flash-softmax/detection';
import { uniform } from './numbers.mjs';
import { oneThread, show, turns } from './turns.mjs';

const rounds = Number(process.argv[2] ?? 15);
const next = uniform(12345);

function boxesAndScores(n) {
  const [boxes, scores] = [new Float32Array(4 * n), new Float32Array(n)];
  for (let i = 0; i < n; i++) {
    const [x, y, width, height] = [640 * next(), 640 * next(), 8 + 192 * next(), 8 + 192 * next()];
    boxes.set([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 4 * i);
    scores[i] = next() ** 4;
  }
  return { boxes, scores };
}

/** Soft-NMS as a program without a library has it: a list of boxes, a sweep a round. */
function plainLoop({ boxes, scores }, sigma = 0.5, threshold = 0.001) {
  const s = Float64Array.from(scores);
  const selected = [];
  let left = Array.from(s.keys()).filter((i) => s[i] >= threshold);
  while (left.length > 0) {
    let best = left[0];
    for (const i of left) if (s[i] > s[best]) best = i;
    selected.push(best);
    const [x0, y0, x1, y1] = boxes.subarray(4 * best, 4 * best + 4);
    const area = (x1 - x0) * (y1 - y0);
    const next = [];
    for (const i of left) {
      if (i === best) continue;
      const width = Math.min(x1, boxes[4 * i + 2]) - Math.max(x0, boxes[4 * i]);
      const height = Math.min(y1, boxes[4 * i + 3]) - Math.max(y0, boxes[4 * i + 1]);
      if (width > 0 && height > 0) {
        const common = width * height;
        const other = (boxes[4 * i + 2] - boxes[4 * i]) * (boxes[4 * i + 3] - boxes[4 * i + 1]);
        const iou = common / (area + other - common);
        s[i] *= Math.exp((-iou * iou) / sigma);
      }
      if (s[i] >= threshold) next.push(i);
    }
    left = next;
  }
  return selected.length;
}

/** A loop over the output of a detector. */
function plainDecode(output, classes, n, threshold) {
  const found = [];
  for (let i = 0; i < n; i++) {
    let best = 0;
    for (let c = 1; c < classes; c++) if (output[(4 + c) * n + i] > output[(4 + best) * n + i]) best = c;
    if (output[(4 + best) * n + i] >= threshold) found.push({ i, best });
  }
  return found.length;
}

/** TensorFlow.js with its fastest backend for a processor, if bench/peers has it. */
async function tensorflow() {
  if (!existsSync(new URL('peers/node_modules/@tensorflow/', import.meta.url))) return undefined;
  const require = createRequire(new URL('peers/peers.mjs', import.meta.url));
  const core = require('@tensorflow/tfjs-core');
  require('@tensorflow/tfjs-backend-wasm').setThreadsCount(1);
  await core.setBackend('wasm');
  return core;
}
const tf = await tensorflow();

const cases = [];
for (const n of [1000, 8400]) {
  const data = boxesAndScores(n);
  const work = {
    softNMS: () => softNMS(data.boxes, data.scores).count,
    'softNMS, 80 classes': () => softNMS(data.boxes, data.scores, { classes: labels }).count,
    'softNMS, linear': () => softNMS(data.boxes, data.scores, { method: 'linear' }).count,
    nms: () => nms(data.boxes, data.scores).count,
    'a plain loop': () => plainLoop(data),
  };
  const labels = Int32Array.from(data.scores, (_, i) => i % 80);
  if (tf) {
    const [boxes, scores] = [tf.tensor2d(data.boxes, [n, 4]), tf.tensor1d(data.scores)];
    work['TensorFlow.js'] = () => {
      const found = tf.image.nonMaxSuppressionWithScore(boxes, scores, n, 1, 0.001, 0.5);
      const count = found.selectedIndices.size;
      tf.dispose(found);
      return count;
    };
  }
  cases.push([`${n} boxes`, work]);
}
const output = Float32Array.from({ length: 84 * 8400 }, () => next() ** 8);
const some = boxesAndScores(1000).boxes;
cases.push([
  'decode [1, 84, 8400]',
  {
    decodeYolo: () => decodeYolo(output, { classes: 80, shape: [1, 84, 8400], scoreThreshold: 0.9 }).count,
    'a plain loop': () => plainDecode(output, 80, 8400, 0.9),
  },
]);
cases.push(['IoU of 1,000 × 1,000', { iouMatrix: () => iouMatrix(some, some).length }]);

oneThread();
for (const [name, work] of cases) {
  for (const [each, run] of Object.entries(work)) {
    const result = await run();
    if (typeof result === 'number') console.log(`${name}, ${each}: ${result} results`);
  }
  show(name, await turns(work, { rounds }), Object.keys(work)[0]);
}
