// From a picture to boxes on it: scores of a detector, nms by class, and the picture with the boxes. The picture is
// drawn here, and the detector looks for two colours in square windows. A model in onnxruntime gives boxes and scores
// of the same form (guides/detection.md).
//
//     node examples/detect-picture.mjs [picture with boxes, .ppm]
import { writeFileSync } from 'node:fs';
import { softmax } from 'flash-softmax';
import { iouMatrix, nms } from 'flash-softmax/detection';

const [WIDTH, HEIGHT, STEP] = [320, 240, 8];
const NAMES = ['background', 'apple', 'leaf'];
const COLOURS = [
  [120, 120, 120],
  [200, 40, 40],
  [40, 160, 60],
];
const objects = [
  { name: 1, box: [32, 40, 80, 88] },
  { name: 1, box: [200, 24, 264, 88] },
  { name: 2, box: [120, 128, 184, 192] },
  { name: 2, box: [256, 160, 304, 208] },
];

let state = 1;
const noise = () => ((state = (Math.imul(state, 48271) >>> 0) % 2147483647) / 2147483647 - 0.5) * 40;

/** RGB bytes: coloured squares on grey, with noise. */
function picture() {
  const pixels = new Uint8ClampedArray(3 * WIDTH * HEIGHT);
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const object = objects.find(({ box: [x0, y0, x1, y1] }) => x >= x0 && x < x1 && y >= y0 && y < y1);
      for (let c = 0; c < 3; c++) pixels[3 * (y * WIDTH + x) + c] = COLOURS[object?.name ?? 0][c] + noise();
    }
  }
  return pixels;
}

/** Sums of a channel over all rectangles from the corner, so that any window costs four reads. */
function integral(pixels, c) {
  const sums = new Float64Array((WIDTH + 1) * (HEIGHT + 1));
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0, row = 0; x < WIDTH; x++) {
      row += pixels[3 * (y * WIDTH + x) + c];
      sums[(y + 1) * (WIDTH + 1) + x + 1] = sums[y * (WIDTH + 1) + x + 1] + row;
    }
  }
  return ([x0, y0, x1, y1]) => {
    const at = (x, y) => sums[y * (WIDTH + 1) + x];
    return (at(x1, y1) - at(x0, y1) - at(x1, y0) + at(x0, y0)) / ((x1 - x0) * (y1 - y0));
  };
}

/** A logit for each class and window: how near its mean colour is to the class's, beside that of the rim around it. */
function detector(pixels) {
  const means = [0, 1, 2].map((c) => integral(pixels, c));
  const boxes = [];
  const logits = [];
  const far = (box, name) => Math.hypot(...means.map((mean, c) => mean(box) - COLOURS[name][c]));
  for (const size of [48, 64]) {
    for (let y = STEP; y + size + STEP <= HEIGHT; y += STEP) {
      for (let x = STEP; x + size + STEP <= WIDTH; x += STEP) {
        const box = [x, y, x + size, y + size];
        const rim = [
          [x - STEP, y, x, y + size],
          [x + size, y, x + size + STEP, y + size],
          [x, y - STEP, x + size, y],
          [x, y + size, x + size, y + size + STEP],
        ];
        const edge = Math.max(...rim.map((side) => far(side, 0))); // the object ends where the window ends
        boxes.push(...box);
        logits.push(0, ...[1, 2].map((name) => 6 - far(box, name) / 8 - edge / 8));
      }
    }
  }
  return { boxes: Float32Array.from(boxes), logits: Float32Array.from(logits) };
}

const pixels = picture();

function outline([x0, y0, x1, y1]) {
  const white = (x, y) => pixels.fill(255, 3 * (y * WIDTH + x), 3 * (y * WIDTH + x) + 3);
  for (let x = x0; x < x1; x++) for (const y of [y0, y1 - 1]) white(x, y);
  for (let y = y0; y < y1; y++) for (const x of [x0, x1 - 1]) white(x, y);
}

const { boxes, logits } = detector(pixels);
const probabilities = softmax(logits, { cols: NAMES.length });
const count = boxes.length / 4;
const best = Int32Array.from({ length: count }, (_, i) =>
  probabilities[3 * i + 1] >= probabilities[3 * i + 2] ? 1 : 2,
);
const scores = Float32Array.from(best, (name, i) => probabilities[3 * i + name]);
const found = nms(boxes, scores, { classes: best, scoreThreshold: 0.5, iouThreshold: 0.3 });

for (const i of found.indices) {
  const box = boxes.subarray(4 * i, 4 * i + 4);
  const truth = Float32Array.from(
    objects.filter(({ name }) => name === best[i]).flatMap(({ box: corners }) => corners),
  );
  const overlap = Math.max(...iouMatrix(box, truth));
  console.log(
    `${NAMES[best[i]].padEnd(5)} ${scores[i].toFixed(3)} at [${box.join(', ')}], overlap ${overlap.toFixed(2)}`,
  );
  outline(box);
  if (overlap < 0.5) process.exitCode = 1;
}
console.log(`${found.count} of ${objects.length} objects, from ${count} windows`);
if (found.count !== objects.length) process.exitCode = 1;
if (process.argv[2])
  writeFileSync(
    process.argv[2],
    Buffer.concat([Buffer.from(`P6 ${WIDTH} ${HEIGHT} 255\n`), Buffer.from(pixels.buffer)]),
  );
