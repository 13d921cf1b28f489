// Checks the floating-point control registers by arithmetic. Values come from an array, so that no compiler computes
// results in advance.

/** @returns {string[]} the faults of arithmetic */
export function disturbances() {
  const [tiny, normal, one, half, threeHalves] = new Float64Array([5e-324, 2 ** -1022, 1, 2 ** -53, 3 * 2 ** -53]);
  const single = new Float32Array([2 ** -126]);
  const narrowed = new Float32Array(1);
  narrowed[0] = normal * 0 + 2 ** -140;
  const wrong = [];
  if (tiny + tiny !== 1e-323) wrong.push('subnormal operands count as zero');
  if (normal / 2 === 0) wrong.push('subnormal results are flushed');
  if (Math.fround(single[0] / 2) === 0 || narrowed[0] === 0) wrong.push('subnormal floats are flushed');
  if (one + half !== 1 || one + threeHalves !== 1 + 2 ** -51) wrong.push('not rounded to nearest, upwards');
  if (-one - half !== -1 || -one - threeHalves !== -1 - 2 ** -51) wrong.push('not rounded to nearest, downwards');
  return wrong;
}
