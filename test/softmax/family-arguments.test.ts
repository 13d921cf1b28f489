/**
 * The arguments, results and errors of logSoftmax, logSumExp, crossEntropy and softmaxBackward, beyond those they share
 * with softmax.
 */
import { describe, expect, it } from 'vitest';
import { crossEntropy, logSoftmax, logSumExp, softmax, softmaxBackward } from '../../lib/index.js';

const x = () => Float32Array.of(1, 2, 3, 4, 5, 6);

function refused(body: () => unknown, code: string, message: string): void {
  expect(body).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
}

describe('results', () => {
  it('have the types and lengths that are promised', () => {
    expect(logSoftmax(x(), { cols: 3 })).toBeInstanceOf(Float32Array);
    expect(logSoftmax(Float64Array.from(x()))).toBeInstanceOf(Float64Array);
    expect(logSumExp(x(), { cols: 3 })).toHaveLength(2);
    expect(logSumExp(x(), { shape: [1, 2, 3], axis: 1 })).toHaveLength(3);
    expect(logSumExp(x())).toBeInstanceOf(Float64Array);
    expect(crossEntropy(x(), [0, 2], { cols: 3 })).toBeInstanceOf(Float64Array);
    expect(crossEntropy(x(), Uint8Array.of(0, 1, 1), { shape: [2, 3], axis: 0 })).toHaveLength(3);
    expect(softmaxBackward(softmax(x()), x())).toBeInstanceOf(Float32Array);
  });

  it('go to out', () => {
    const out = new Float64Array(2);
    expect(logSumExp(x(), { cols: 3, out })).toBe(out);
    expect(crossEntropy(x(), [0, 2], { cols: 3, out })).toBe(out);
    const same = x();
    expect(logSoftmax(same, { out: same })).toBe(same);
    expect([...same]).toEqual([...logSoftmax(x())]);
    const gradient = x();
    crossEntropy(gradient, [1], { gradient });
    const apart = new Float32Array(6);
    crossEntropy(x(), [1], { gradient: apart });
    expect([...gradient]).toEqual([...apart]);
  });

  it('of nothing', () => {
    expect(logSoftmax(new Float32Array(0))).toHaveLength(0);
    expect([...logSumExp(new Float32Array(0))]).toEqual([-Infinity]);
    expect([...logSumExp(new Float32Array(0), { shape: [2, 0] })]).toEqual([-Infinity, -Infinity]);
    expect(crossEntropy(new Float32Array(0), [], { cols: 3 })).toHaveLength(0);
    expect(softmaxBackward(new Float64Array(0), new Float64Array(0))).toHaveLength(0);
  });
});

describe('crossEntropy', () => {
  it('ignores rows with the target ignoreIndex', () => {
    const gradient = x();
    expect(crossEntropy(x(), [-100, 1], { cols: 3, gradient })[0]).toBe(0);
    expect([...gradient.subarray(0, 3)]).toEqual([0, 0, 0]);
    expect(crossEntropy(x(), [2, 1], { cols: 3, ignoreIndex: 2 })[0]).toBe(0);
  });

  it('refuses bad targets, and then writes nothing', () => {
    const out = new Float64Array(2).fill(7);
    const call =
      (targets: unknown, options = {}) =>
      () =>
        crossEntropy(x(), targets as number[], { cols: 3, out, ...options });
    refused(call([0, 3]), 'ERR_OUT_OF_RANGE', 'Expected integers from 0 to 2 for targets');
    refused(call([0, -1]), 'ERR_OUT_OF_RANGE', '-1 at 1');
    refused(call([0, 0.5]), 'ERR_OUT_OF_RANGE', '0.5 at 1');
    refused(call([0, NaN]), 'ERR_OUT_OF_RANGE', 'NaN at 1');
    refused(call([0, '1']), 'ERR_INVALID_ARG_TYPE', "received '1'");
    refused(call([0]), 'ERR_INVALID_ARG_VALUE', 'Expected 2 elements, one a row, for targets but received 1');
    refused(call(new Float64Array(2)), 'ERR_INVALID_ARG_TYPE', 'for targets');
    refused(call(new Float32Array(2)), 'ERR_INVALID_ARG_VALUE', 'Expected 6 elements, as in logits, for targets');
    refused(call([0, 1], { ignoreIndex: 0.5 }), 'ERR_INVALID_ARG_TYPE', 'for ignoreIndex');
    refused(
      call([0, 1], { gradient: new Float64Array(6) }),
      'ERR_INVALID_ARG_TYPE',
      'Expected a Float32Array, as logits is, for gradient',
    );
    refused(call([0, 1], { gradient: new Float32Array(5) }), 'ERR_INVALID_ARG_VALUE', 'for gradient but received 5');
    expect([...out]).toEqual([7, 7]);
  });

  it('refuses results that overlap', () => {
    const memory = new ArrayBuffer(64);
    const logits = new Float32Array(memory, 0, 6);
    refused(
      () => crossEntropy(logits, [0, 1], { cols: 3, gradient: new Float32Array(memory, 4, 6) }),
      'ERR_INVALID_ARG_VALUE',
      'apart from logits',
    );
    refused(
      () => crossEntropy(logits, [0, 1], { cols: 3, out: new Float64Array(memory, 0, 2) }),
      'ERR_INVALID_ARG_VALUE',
      'for out',
    );
    refused(
      () =>
        crossEntropy(x(), [0, 1], {
          cols: 3,
          out: new Float64Array(memory, 0, 2),
          gradient: new Float32Array(memory, 0, 6),
        }),
      'ERR_INVALID_ARG_VALUE',
      'for gradient',
    );
  });
});

describe('the others', () => {
  it('refuse arguments that do not fit', () => {
    refused(
      () => logSumExp(x(), { out: new Float32Array(1) as never }),
      'ERR_INVALID_ARG_TYPE',
      'Expected a Float64Array for out',
    );
    refused(
      () => logSumExp(x(), { cols: 3, out: new Float64Array(3) }),
      'ERR_INVALID_ARG_VALUE',
      'Expected 2 elements, one a row, for out but received 3',
    );
    refused(() => logSoftmax(x(), { gradient: x() } as never), 'ERR_INVALID_ARG_TYPE', "received 'gradient'");
    refused(
      () => softmaxBackward(x(), new Float32Array(5)),
      'ERR_INVALID_ARG_VALUE',
      'Expected 6 elements, as in y, for dy but received 5',
    );
    refused(() => softmaxBackward(x(), new Float64Array(6) as never), 'ERR_INVALID_ARG_TYPE', 'for dy');
    refused(() => softmaxBackward(x(), x(), { bias: x() } as never), 'ERR_INVALID_ARG_TYPE', 'bias');
    refused(() => softmaxBackward([1] as never, x()), 'ERR_INVALID_ARG_TYPE', 'for y but received an Array');
    const memory = new Float32Array(12);
    refused(
      () => softmaxBackward(x(), memory.subarray(0, 6), { out: memory.subarray(3, 9) }),
      'ERR_INVALID_ARG_VALUE',
      'apart from dy',
    );
  });
});
