/** Cases of softNMS, nms, iouMatrix and decodeYolo: all backends have the same bits, JavaScript too. */
import { exactUlpError } from '../support/exact.js';
import { boxesOf, faultOfSelection, FORMATS, iouOf, scoresOf, sidesOf, type Format, type Rules } from './boxes.js';
import type { Maker } from './case.js';
import type { Draw } from './draw.js';
import type { Outcome } from './judge.js';
import type { AnyArray } from './memory.js';

type Options = Record<string, unknown>;

/** Fractions take too long for images of more boxes: these are compared between backends alone. */
const MOST_EXACT = 40;

/** The number of boxes; long ones are rare. */
function countOf(draw: Draw, limit: number): number {
  const one = draw.uniform();
  const n = one < 0.03 ? draw.int(2) : one < 0.75 ? 1 + draw.int(MOST_EXACT) : draw.pick([63, 64, 65, 129, 300, 1000]);
  return n <= limit ? n : 1 + draw.int(limit);
}

function boxOptions(draw: Draw): { format: Format; edge: number; options: Options } {
  const format = draw.pick(FORMATS);
  const isPixels = draw.chance(0.25);
  const options: Options = {};
  if (format !== 'xyxy' || draw.chance(0.2)) options.format = format;
  if (isPixels || draw.chance(0.2)) options.coordinates = isPixels ? 'pixels' : 'continuous';
  return { format, edge: isPixels ? 1 : 0, options };
}

/** Thresholds that IoUs of a grid and scores meet exactly, and others. */
const fractionOf = (draw: Draw): number => draw.pick([0, 0.25, 0.5, 1 / 3, 0.75, 1, draw.uniform()]);

function rulesOf(draw: Draw, isHard: boolean, scores: Float32Array): { rules: Omit<Rules, 'most'>; options: Options } {
  const method = isHard ? 'hard' : draw.pick(['gaussian', 'gaussian', 'linear', 'hard'] as const);
  const sigma = draw.chance(0.7) ? draw.pick([0.5, 0.3, 0.05]) : draw.pick([5e-324, 1e-300, 1e-9, 1e12, 1.7e308]);
  const isTwice = draw.chance(0.3) && !isHard;
  const cut = !isHard && draw.chance(0.3);
  const iouThreshold = fractionOf(draw);
  const scoreThreshold = draw.pick([-Infinity, -0.5, 0, 2 ** -149, 0.001, 0.05, scores[0] ?? 0, Infinity]);
  const options: Options = { iouThreshold, scoreThreshold };
  if (!isHard) Object.assign(options, { method, sigma, cut });
  if (isTwice) options.sigmaConvention = 'tensorflow';
  const width = Math.min(1e300, Math.max(1e-280, sigma * (isTwice ? 2 : 1)));
  return { rules: { method, width, cut, iouThreshold, scoreThreshold }, options };
}

/** Makes one number of some NaN or infinite; returns which box has it. */
function spoilNumber(draw: Draw, values: Float32Array, aBox: number, isScore: boolean): number {
  const at = draw.int(values.length);
  values[at] = draw.pick([NaN, Infinity, isScore ? NaN : -Infinity]);
  return Math.floor(at / aBox);
}

function classesOf(draw: Draw, n: number): Int32Array {
  const [kinds, step] = [draw.pick([1, 2, 5, 80, n + 1]), draw.pick([1, -1, 123456789])];
  return Int32Array.from({ length: n }, () => draw.int(kinds) * step);
}

const WRONG: Options = {
  sigma: [0, NaN, Infinity, '1'],
  iouThreshold: [-0.1, 1.5, NaN, '0'],
  scoreThreshold: [NaN, '0', null],
  maxDetections: [-1, 1.5, NaN],
  batch: [0, -1, 0.5, 7919],
  format: ['xy', 3, null],
  coordinates: ['pixel', 0],
  boxez: [1],
};
const wrongOf = (draw: Draw, names: readonly string[]): Options => {
  const name = draw.pick(names);
  return { [name]: draw.pick(WRONG[name] as readonly unknown[]) };
};

/** The arrays of a result; a count is one of one element. */
const arraysOf = (result: Record<string, AnyArray | number>): Record<string, AnyArray> =>
  Object.fromEntries(
    Object.entries(result).map(([name, of]) => [name, typeof of === 'number' ? Uint32Array.of(of) : of]),
  );

const suppression =
  (name: 'softNMS' | 'nms'): Maker =>
  (draw, limit) => {
    const batch = draw.chance(0.25) ? draw.between(1, 4) : undefined;
    const [images, n] = [batch ?? 1, countOf(draw, limit)];
    const total = images * n;
    const { format, edge, options } = boxOptions(draw);
    const { boxes, text: kind } = boxesOf(draw, total, format);
    const { scores, text: scoreKind } = scoresOf(draw, total);
    const { rules, options: more } = rulesOf(draw, name === 'nms', scores);
    Object.assign(options, more, batch && { batch });
    const maxDetections = draw.chance(0.25) ? draw.int(n + 2) : undefined;
    if (maxDetections !== undefined) options.maxDetections = maxDetections;
    const most = Math.min(n, maxDetections ?? n);
    const classes = draw.chance(0.4) ? classesOf(draw, total) : undefined;
    const isList = draw.chance(0.3);
    const isSpoiled = draw.chance(0.04) && total > 0;
    const wrong = isSpoiled
      ? draw.chance(0.5)
        ? spoilNumber(draw, boxes, 4, false)
        : spoilNumber(draw, scores, 1, true)
      : -1;
    const isFault = draw.chance(0.04);
    if (isFault) Object.assign(options, wrongOf(draw, Object.keys(WRONG)));
    if (isFault && name === 'nms' && 'sigma' in options) options.method = 'hard'; // an unknown option as well
    const ofImage = batch === undefined ? '' : `image ${Math.floor(wrong / n)} of `;
    const where = `box ${wrong % Math.max(1, n)} of ${ofImage}boxes`;
    const kinds = `${kind}, scores ${scoreKind}${classes ? ', classes' : ''}`;
    return {
      text: `${name}(${images} × ${n} boxes ${kinds}) ${JSON.stringify(options)}`,
      elements: total * 64,
      hasPromise: true,
      isSameEverywhere: true,
      expects: isFault ? 'error' : isSpoiled ? 'judged' : 'value',
      invoke: (api, arena) =>
        api[name]!(
          arena.input('boxes', boxes),
          arena.input('scores', scores),
          arena.options({
            ...options,
            ...(classes && { classes: isList ? Array.from(classes) : arena.input('classes', classes) }),
          }),
        ),
      outputs: arraysOf,
      check({ arrays: { indices, scores: kept, count }, error }) {
        if (isSpoiled) return error?.message.includes(where) ? undefined : `no error that names ${where}`;
        for (let image = 0; image < images && n <= MOST_EXACT; image++) {
          const [from, found] = [image * n, count![image]!];
          const picked = {
            sides: Array.from({ length: n }, (_, i) => sidesOf(boxes, from + i, format, edge)),
            scores: scores.subarray(from, from + n),
            classes: classes?.subarray(from, from + n),
          };
          const [start, end] = [image * most, image * most + found];
          if (found > most || end > indices!.length) return `${found} boxes of image ${image}`;
          const selected = kept!.subarray(start, end) as Float32Array;
          const fault = faultOfSelection(picked, { ...rules, most }, indices!.subarray(start, end), selected);
          if (fault) return `image ${image}: ${fault}`;
        }
        return undefined;
      },
    };
  };

const iouMatrix: Maker = (draw, limit) => {
  const { format, edge, options } = boxOptions(draw);
  const [rows, cols] = [countOf(draw, Math.min(limit, 70)), countOf(draw, Math.min(limit, 70))];
  const { boxes, text } = boxesOf(draw, rows, format);
  const isSelf = draw.chance(0.2);
  const others = isSelf ? boxes : draw.chance(0.5) ? boxesOf(draw, cols, format).boxes : boxes.slice(0, 4 * cols);
  const isSpoiled = draw.chance(0.04) && others.length > 0;
  if (isSpoiled) spoilNumber(draw, others, 4, false);
  const isFault = draw.chance(0.04);
  if (isFault) Object.assign(options, wrongOf(draw, ['format', 'coordinates', 'boxez']));
  return {
    text: `iouMatrix(${rows} × ${others.length / 4} boxes ${text}) ${JSON.stringify(options)}`,
    elements: (rows * others.length) / 4,
    hasPromise: true,
    isSameEverywhere: true,
    expects: isFault || isSpoiled ? 'error' : 'value',
    invoke(api, arena) {
      const first = arena.input('boxes', boxes);
      return api.iouMatrix!(first, isSelf ? first : arena.input('others', others), arena.options(options));
    },
    outputs: (iou: AnyArray) => ({ iou }),
    check({ arrays: { iou } }) {
      const sides = Array.from({ length: others.length / 4 }, (_, j) => sidesOf(others, j, format, edge));
      for (let i = 0; i < rows; i++) {
        const own = sidesOf(boxes, i, format, edge);
        for (const [j, other] of sides.entries()) {
          const [p, q] = iouOf(own, other);
          const actual = iou![i * sides.length + j]!;
          const error = p === 0n ? (actual === 0 ? 0 : Infinity) : exactUlpError('f32', actual, (p << 1400n) / q);
          if (!(error <= 0.51)) return `IoU of ${i} and ${j} is ${actual}, ${error} ULP off`;
        }
      }
      return undefined;
    },
  };
};

const decodeYolo: Maker = (draw, limit) => {
  const batch = draw.chance(0.3) ? draw.between(1, 3) : undefined;
  const classes = draw.pick([1, 2, 3, 7, 16, 17, 80]);
  const n = countOf(draw, limit);
  const [images, channels] = [batch ?? 1, 4 + classes];
  const total = images * n;
  const { boxes, text } = boxesOf(draw, total, 'cxcywh');
  const { scores, text: scoreKind } = scoresOf(draw, total * classes);
  const isFirst = draw.chance(0.5);
  const isSpoiled = draw.chance(0.05) && total > 0;
  if (isSpoiled) {
    if (draw.chance(0.5)) spoilNumber(draw, boxes, 4, false);
    else scores[draw.int(scores.length)] = NaN;
  } else if (draw.chance(0.1) && total > 0) scores[draw.int(scores.length)] = Infinity;
  const output = Float32Array.from({ length: total * channels }, (_, at) => {
    const [image, rest] = [Math.floor(at / (n * channels)), at % (n * channels)];
    const [i, c] = isFirst ? [Math.floor(rest / channels), rest % channels] : [rest % n, Math.floor(rest / n)];
    const box = image * n + i;
    return c < 4 ? boxes[4 * box + c]! : scores[box * classes + c - 4]!;
  });
  const threshold = draw.pick([-Infinity, 0, 0.5, scores[0] ?? 0, Infinity]);
  const format = draw.pick(FORMATS);
  const layout = isFirst ? 'boxes-first' : 'channels-first';
  const options: Options = { classes, ...(batch && { batch }) };
  if (threshold !== -Infinity && !Number.isNaN(threshold)) options.scoreThreshold = threshold;
  if (format !== 'xyxy') options.format = format;
  const isSquare = n === channels;
  if (draw.chance(0.5)) options.shape = isFirst ? [images, n, channels] : [images, channels, n];
  if (options.shape === undefined || isSquare || draw.chance(0.3)) options.layout = layout;
  const isFault = draw.chance(0.04);
  const faults = [{ classes: 0 }, { classes: '1' }, { layout: 'x' }, { shape: [1, 2] }];
  if (isFault) Object.assign(options, draw.pick(faults));
  return {
    text: `decodeYolo(${images} × ${n} boxes ${text}, scores ${scoreKind}) ${JSON.stringify(options)}`,
    elements: output.length,
    hasPromise: true,
    isSameEverywhere: true,
    expects: isFault || isSpoiled ? 'error' : 'value',
    invoke: (api, arena) => api.decodeYolo!(arena.input('output', output), arena.options(options)),
    outputs: arraysOf,
    check(outcome) {
      const given = { boxes, scores, images, n, classes, format, isBatched: batch !== undefined };
      return checkDecoded(outcome, given, options);
    },
  };
};

interface Decoded {
  readonly boxes: Float32Array;
  readonly scores: Float32Array;
  readonly images: number;
  readonly n: number;
  readonly classes: number;
  readonly format: Format;
  readonly isBatched: boolean;
}

function checkDecoded({ arrays }: Outcome, given: Decoded, { scoreThreshold }: Options): string | undefined {
  const { boxes, scores, images, n, classes, format, isBatched } = given;
  for (let image = 0; image < images; image++) {
    const start = isBatched ? image * n : 0;
    let count = 0;
    for (let i = 0; i < n; i++) {
      const [at, to] = [image * n + i, start + count];
      const own = Array.from(scores.subarray(at * classes, (at + 1) * classes));
      const best = Math.max(...own);
      if (!(best >= ((scoreThreshold as number | undefined) ?? -Infinity))) continue;
      const [x, y, w, h] = boxes.subarray(4 * at, 4 * at + 4) as unknown as [number, number, number, number];
      const [left, top, right, bottom] = [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
      const box = {
        xyxy: [left, top, right, bottom],
        yxyx: [top, left, bottom, right],
        xywh: [left, top, w, h],
        cxcywh: [x, y, w, h],
      }[format];
      const isRight =
        arrays.indices![to] === i &&
        arrays.classes![to] === own.findIndex((score) => score === best) &&
        Object.is(arrays.scores![to], own[arrays.classes![to]!]) &&
        box.every((side, c) => arrays.boxes![4 * to + c] === Math.fround(side));
      if (!isRight) return `box ${i} of image ${image} is not at ${to}`;
      count++;
    }
    if (arrays.count![image] !== count) return `${arrays.count![image]} boxes of image ${image}, not ${count}`;
    const rest = isBatched ? arrays.scores!.subarray(start + count, start + n) : [];
    if (!Array.from(rest).every((score) => score === -Infinity)) return `image ${image} has scores behind its boxes`;
  }
  return undefined;
}

export const detectionMakers: Record<string, Maker> = {
  softNMS: suppression('softNMS'),
  nms: suppression('nms'),
  iouMatrix,
  decodeYolo,
};
