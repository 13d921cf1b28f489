/** A right call of each operator of detection, and what makes one wrong (contract.test.ts). */
import type { OperatorArguments } from '../../lib/backend/operators.js';

const floats = (n: number) => new Float32Array(n).fill(0.5);
const boxes = (n: number) => Float32Array.from({ length: 4 * n }, (_, i) => i % 4);
const boxFormat = { format: 0, edge: 0 };

export const detectionCalls: Pick<OperatorArguments, 'soft_nms' | 'iou_matrix' | 'decode_yolo'> = {
  soft_nms: {
    boxes: boxes(6),
    scores: floats(6),
    classes: new Int32Array(6),
    indices: new Uint32Array(4),
    kept: floats(4),
    counts: new Uint32Array(2),
    status: new Uint32Array(2),
    batch: 2,
    n: 3,
    most: 2,
    ...boxFormat,
    method: 2,
    sigma: 0.5,
    iouThreshold: 1,
    scoreThreshold: 0,
  },
  iou_matrix: {
    boxes: boxes(3),
    others: boxes(2),
    out: floats(6),
    status: new Uint32Array(2),
    rows: 3,
    cols: 2,
    ...boxFormat,
  },
  decode_yolo: {
    x: floats(2 * 7 * 5),
    boxes: boxes(10),
    scores: floats(10),
    labels: new Int32Array(10),
    indices: new Uint32Array(10),
    counts: new Uint32Array(2),
    status: new Uint32Array(2),
    batch: 2,
    n: 5,
    classes: 3,
    layout: 0,
    format: 0,
    scoreThreshold: 0,
  },
};

/** Calls whose numbers kernels cannot take, each with the name that the error's message must have. */
export function* brokenBoxes(
  args: Record<string, unknown>,
): Generator<[what: string, name: string, args: Record<string, unknown>]> {
  for (const edge of [NaN, 2]) yield [`an edge of ${edge}`, 'edge', { ...args, edge }];
  if ('sigma' in args) for (const sigma of [NaN, 0]) yield [`a sigma of ${sigma}`, 'sigma', { ...args, sigma }];
}
