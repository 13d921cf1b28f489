/** decode_yolo, with the results of native/detection/decode_yolo.h. */
import { NO_INDEX, type BackendOf } from '../../backend/backend.js';
import type { Kernel } from '../../backend/operators.js';
import { CENTER_SIZE, LEFT_TOP_SIZE, TOP_LEFT_BOTTOM_RIGHT } from '../../detection/formats.js';
import { CHANNELS_FIRST } from '../../detection/layouts.js';

/** Writes a box of which the centre and the size are given. */
function write(to: Float32Array, at: number, [x, y, width, height]: readonly number[], format: number): void {
  const half = [width! * 0.5, height! * 0.5] as const;
  const near = [x! - half[0], y! - half[1]] as const;
  const far = [x! + half[0], y! + half[1]] as const;
  if (format === CENTER_SIZE) [to[at], to[at + 1]] = [x!, y!];
  else if (format === TOP_LEFT_BOTTOM_RIGHT) [to[at], to[at + 1]] = [near[1], near[0]];
  else [to[at], to[at + 1]] = near;
  if (format === CENTER_SIZE || format === LEFT_TOP_SIZE) [to[at + 2], to[at + 3]] = [width!, height!];
  else if (format === TOP_LEFT_BOTTOM_RIGHT) [to[at + 2], to[at + 3]] = [far[1], far[0]];
  else [to[at + 2], to[at + 3]] = far;
}

const decodeYolo: Kernel<'decode_yolo', never> = (
  x,
  boxes,
  scores,
  labels,
  indices,
  counts,
  status,
  batch,
  n,
  classes,
  layout,
  format,
  threshold,
) => {
  const isChannelsFirst = layout === CHANNELS_FIRST;
  const stride = isChannelsFirst ? n : 1;
  for (let image = 0; image < batch; image++) {
    const start = image * (4 + classes) * n;
    let count = 0;
    status[image] = NO_INDEX;
    for (let i = 0; i < n && status[image] === NO_INDEX; i++) {
      const first = isChannelsFirst ? start + i : start + i * (4 + classes);
      const box = [x[first]!, x[first + stride]!, x[first + 2 * stride]!, x[first + 3 * stride]!];
      let isWrong = !box.every(Number.isFinite);
      let best = -Infinity;
      let label = 0;
      for (let c = 0, at = first + 4 * stride; c < classes; c++, at += stride) {
        const score = x[at]!;
        if (score > best) {
          best = score;
          label = c;
        } else if (score !== score) isWrong = true;
      }
      if (isWrong) status[image] = i;
      if (isWrong || !(best >= threshold)) continue;
      const to = image * n + count++;
      write(boxes, 4 * to, box, format);
      scores[to] = best;
      labels[to] = label;
      indices[to] = i;
    }
    counts[image] = count;
  }
};

export const decodeYoloKernels: BackendOf<'decode_yolo'> = { name: 'js', decode_yolo_f32: decodeYolo };
