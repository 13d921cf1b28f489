// From the output of a YOLO detector, [1, 84, 8400], to the objects in an image: decodeYolo, then softNMS by class.
// The output is made up here: noise, and some boxes about each of four objects. A runtime gives { data, dims }.
import { decodeYolo, nms, softNMS } from 'flash-softmax/detection';

const [classes, n] = [80, 8400];
const names = { 0: 'person', 2: 'car', 16: 'dog' };
const objects = [
  { label: 0, box: [200, 300, 80, 240], score: 0.93 },
  { label: 0, box: [226, 306, 80, 236], score: 0.84 }, // behind the first one
  { label: 16, box: [215, 380, 90, 70], score: 0.77 }, // in front of both, of another class
  { label: 2, box: [480, 330, 190, 110], score: 0.88 },
];

let state = 1;
const random = () => (state = Math.imul(state, 48271) % 2147483647) / 4294967294 + 0.5;

/** The output of the detector: rows cx, cy, width, height, then 80 scores, each for 8,400 boxes. */
function outputOf() {
  const data = new Float32Array((4 + classes) * n);
  const put = (i, box, label, score) => {
    box.forEach((side, c) => (data[c * n + i] = side));
    for (let c = 0; c < classes; c++) data[(4 + c) * n + i] = 0.02 * random();
    if (label !== undefined) data[(4 + label) * n + i] = score;
  };
  for (let i = 0; i < n; i++) put(i, [640 * random(), 640 * random(), 8 + 192 * random(), 8 + 192 * random()]);
  objects.forEach(({ label, box, score }, k) => {
    for (let i = 0; i < 12; i++) {
      const moved = box.map((side) => side + (i === 0 ? 0 : 12 * (random() - 0.5)));
      put(600 * (k + 1) + 83 * i, moved, label, i === 0 ? score : score * (0.5 + 0.4 * random()));
    }
  });
  return { data, dims: [1, 4 + classes, n] };
}

const output = outputOf();
const found = decodeYolo(output.data, { classes, shape: output.dims, scoreThreshold: 0.25 });
console.log(`${found.count} of ${n} boxes have a score of 0.25 or more`);

const options = { classes: found.classes, scoreThreshold: 0.25 };
const soft = softNMS(found.boxes, found.scores, options);
soft.indices.forEach((i, k) => {
  const corners = Array.from(found.boxes.subarray(4 * i, 4 * i + 4), Math.round);
  console.log(`${names[found.classes[i]].padEnd(6)} ${soft.scores[k].toFixed(3)} at [${corners.join(', ')}]`);
});

// Hard suppression loses the person behind the first one.
console.log(`nms: ${nms(found.boxes, found.scores, options).count} objects, softNMS: ${soft.count}`);
