/** Made by scripts/operators.mjs from native/operators.def: the parameters of each operator by name. Do not edit. */
import type { KernelArray } from '../call/arguments.js';

/** The arguments of an operator's kernels. */
export interface OperatorArguments {
  softmax: {
    x: KernelArray;
    out: KernelArray;
    outer: number;
    cols: number;
    inner: number;
    temperature: number;
    mask: Uint8Array | null;
    maskLayout: number;
    bias: KernelArray | null;
  };
  log_softmax: {
    x: KernelArray;
    out: KernelArray;
    outer: number;
    cols: number;
    inner: number;
    temperature: number;
    mask: Uint8Array | null;
    maskLayout: number;
    bias: KernelArray | null;
  };
  log_sum_exp: {
    x: KernelArray;
    out: Float64Array;
    outer: number;
    cols: number;
    inner: number;
    temperature: number;
    mask: Uint8Array | null;
    maskLayout: number;
    bias: KernelArray | null;
  };
  cross_entropy: {
    x: KernelArray;
    targets: Int32Array;
    loss: Float64Array;
    gradient: KernelArray | null;
    outer: number;
    cols: number;
    inner: number;
    temperature: number;
    mask: Uint8Array | null;
    maskLayout: number;
    bias: KernelArray | null;
  };
  stable_max: {
    x: KernelArray;
    out: KernelArray;
    outer: number;
    cols: number;
    inner: number;
    mask: Uint8Array | null;
    maskLayout: number;
    bias: KernelArray | null;
  };
  log_stable_max: {
    x: KernelArray;
    out: KernelArray;
    outer: number;
    cols: number;
    inner: number;
    mask: Uint8Array | null;
    maskLayout: number;
    bias: KernelArray | null;
  };
  softmax_backward: {
    y: KernelArray;
    dy: KernelArray;
    out: KernelArray;
    outer: number;
    cols: number;
    inner: number;
    temperature: number;
    mask: Uint8Array | null;
    maskLayout: number;
  };
  exp_sum: {
    x: KernelArray;
    mantissa: Float64Array;
    exponent: Int32Array;
    outer: number;
    cols: number;
    inner: number;
    temperature: number;
    mask: Uint8Array | null;
    maskLayout: number;
    bias: KernelArray | null;
  };
  normalize: {
    x: KernelArray;
    out: KernelArray;
    mantissa: Float64Array;
    exponent: Int32Array;
    outer: number;
    cols: number;
    inner: number;
    temperature: number;
    mask: Uint8Array | null;
    maskLayout: number;
    bias: KernelArray | null;
  };
  attention: {
    shape: Float64Array;
    spans: Float64Array | null;
    q: Float32Array;
    k: Float32Array;
    v: Float32Array;
    slopes: Float32Array | null;
    sinks: Float32Array | null;
    mask: Uint8Array | null;
    bias: Float32Array | null;
    out: Float32Array | null;
    lse: Float64Array | null;
    sums: Float64Array | null;
    mantissa: Float64Array | null;
    exponent: Int32Array | null;
  };
  attention_cached: {
    shape: Float64Array;
    spans: Float64Array | null;
    q: Float32Array;
    slabs: readonly (KernelArray | Int8Array)[];
    scales: readonly Float32Array[];
    table: Uint32Array;
    lengths: Int32Array;
    slopes: Float32Array | null;
    sinks: Float32Array | null;
    mask: Uint8Array | null;
    bias: Float32Array | null;
    out: Float32Array | null;
    lse: Float64Array | null;
    sums: Float64Array | null;
    mantissa: Float64Array | null;
    exponent: Int32Array | null;
  };
  kv_append: {
    shape: Float64Array;
    k: Float32Array;
    v: Float32Array;
    slabs: readonly (KernelArray | Int8Array)[];
    scales: readonly Float32Array[];
    table: Uint32Array;
    from: number;
  };
  argmax: {
    x: KernelArray;
    indices: Uint32Array;
    rows: number;
    cols: number;
  };
  top_k: {
    x: KernelArray;
    indices: Uint32Array;
    values: KernelArray;
    rows: number;
    cols: number;
    k: number;
    mask: Uint8Array | null;
    maskLayout: number;
    bias: KernelArray | null;
  };
  sample: {
    x: KernelArray;
    tokens: Uint32Array;
    kept: KernelArray | null;
    probabilities: KernelArray | null;
    status: Int32Array;
    uniforms: Float64Array;
    rows: number;
    cols: number;
    draws: number;
    topK: number;
    temperature: number;
    topP: number;
    minDistance: number;
    typicalP: number;
    epsilon: number;
    mask: Uint8Array | null;
    maskLayout: number;
    bias: KernelArray | null;
  };
}

export type Operator = keyof OperatorArguments;

/** The types that an operator has kernels for: operator_type is their name. */
export interface OperatorTypes {
  softmax: 'f32' | 'f64' | 'f16' | 'bf16' | 'f16_f32' | 'bf16_f32';
  log_softmax: 'f32' | 'f64' | 'f16' | 'bf16' | 'f16_f32' | 'bf16_f32';
  log_sum_exp: 'f32' | 'f64' | 'f16' | 'bf16';
  cross_entropy: 'f32' | 'f64' | 'f16' | 'bf16';
  stable_max: 'f32' | 'f64' | 'f16' | 'bf16' | 'f16_f32' | 'bf16_f32';
  log_stable_max: 'f32' | 'f64' | 'f16' | 'bf16' | 'f16_f32' | 'bf16_f32';
  softmax_backward: 'f32' | 'f64' | 'f16' | 'bf16' | 'f16_f32' | 'bf16_f32';
  exp_sum: 'f32' | 'f64' | 'f16' | 'bf16';
  normalize: 'f32' | 'f64' | 'f16' | 'bf16' | 'f16_f32' | 'bf16_f32';
  attention: 'f32';
  attention_cached: 'f32' | 'f16' | 'bf16' | 'i8';
  kv_append: 'f32' | 'f16' | 'bf16' | 'i8';
  argmax: 'f32' | 'f64' | 'f16' | 'bf16';
  top_k: 'f32' | 'f64' | 'f16' | 'bf16';
  sample: 'f32' | 'f64' | 'f16' | 'bf16';
}

/** What kernels take, in their order. */
export type Positional = (...values: unknown[]) => unknown;

/** What there is to know of an operator by those who call its kernels. */
export interface AnyOperator {
  readonly name: Operator;
  /** Arrays that kernels read, and that they write. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** The output that may be an input itself, and that input. */
  readonly inPlace: readonly [output: string, input: string] | null;
  /** Calls a kernel with its arguments in order. */
  call(kernel: Positional, a: Readonly<Record<string, unknown>>): unknown;
}

export interface OperatorOf<O extends Operator> extends AnyOperator {
  readonly name: O;
  call(kernel: Positional, a: OperatorArguments[O]): unknown;
}

export const SOFTMAX: OperatorOf<'softmax'> = {
  name: 'softmax',
  inputs: ['x', 'mask', 'bias'],
  outputs: ['out'],
  inPlace: ['out', 'x'],
  call: (kernel, a) => kernel(
    a.x, a.out, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias,
  ),
};

export const LOG_SOFTMAX: OperatorOf<'log_softmax'> = {
  name: 'log_softmax',
  inputs: ['x', 'mask', 'bias'],
  outputs: ['out'],
  inPlace: ['out', 'x'],
  call: (kernel, a) => kernel(
    a.x, a.out, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias,
  ),
};

export const LOG_SUM_EXP: OperatorOf<'log_sum_exp'> = {
  name: 'log_sum_exp',
  inputs: ['x', 'mask', 'bias'],
  outputs: ['out'],
  inPlace: null,
  call: (kernel, a) => kernel(
    a.x, a.out, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias,
  ),
};

export const CROSS_ENTROPY: OperatorOf<'cross_entropy'> = {
  name: 'cross_entropy',
  inputs: ['x', 'targets', 'mask', 'bias'],
  outputs: ['loss', 'gradient'],
  inPlace: ['gradient', 'x'],
  call: (kernel, a) => kernel(
    a.x, a.targets, a.loss, a.gradient, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias,
  ),
};

export const STABLE_MAX: OperatorOf<'stable_max'> = {
  name: 'stable_max',
  inputs: ['x', 'mask', 'bias'],
  outputs: ['out'],
  inPlace: ['out', 'x'],
  call: (kernel, a) => kernel(
    a.x, a.out, a.outer, a.cols, a.inner, a.mask, a.maskLayout, a.bias,
  ),
};

export const LOG_STABLE_MAX: OperatorOf<'log_stable_max'> = {
  name: 'log_stable_max',
  inputs: ['x', 'mask', 'bias'],
  outputs: ['out'],
  inPlace: ['out', 'x'],
  call: (kernel, a) => kernel(
    a.x, a.out, a.outer, a.cols, a.inner, a.mask, a.maskLayout, a.bias,
  ),
};

export const SOFTMAX_BACKWARD: OperatorOf<'softmax_backward'> = {
  name: 'softmax_backward',
  inputs: ['y', 'dy', 'mask'],
  outputs: ['out'],
  inPlace: ['out', 'y'],
  call: (kernel, a) => kernel(
    a.y, a.dy, a.out, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout,
  ),
};

export const EXP_SUM: OperatorOf<'exp_sum'> = {
  name: 'exp_sum',
  inputs: ['x', 'mask', 'bias'],
  outputs: ['mantissa', 'exponent'],
  inPlace: null,
  call: (kernel, a) => kernel(
    a.x, a.mantissa, a.exponent, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias,
  ),
};

export const NORMALIZE: OperatorOf<'normalize'> = {
  name: 'normalize',
  inputs: ['x', 'mantissa', 'exponent', 'mask', 'bias'],
  outputs: ['out'],
  inPlace: ['out', 'x'],
  call: (kernel, a) => kernel(
    a.x, a.out, a.mantissa, a.exponent, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias,
  ),
};

export const ATTENTION: OperatorOf<'attention'> = {
  name: 'attention',
  inputs: ['shape', 'spans', 'q', 'k', 'v', 'slopes', 'sinks', 'mask', 'bias'],
  outputs: ['out', 'lse', 'sums', 'mantissa', 'exponent'],
  inPlace: null,
  call: (kernel, a) => kernel(
    a.shape, a.spans, a.q, a.k, a.v, a.slopes, a.sinks, a.mask, a.bias, a.out, a.lse, a.sums, a.mantissa,
    a.exponent,
  ),
};

export const ATTENTION_CACHED: OperatorOf<'attention_cached'> = {
  name: 'attention_cached',
  inputs: ['shape', 'spans', 'q', 'table', 'lengths', 'slopes', 'sinks', 'mask', 'bias'],
  outputs: ['out', 'lse', 'sums', 'mantissa', 'exponent'],
  inPlace: null,
  call: (kernel, a) => kernel(
    a.shape, a.spans, a.q, a.slabs, a.scales, a.table, a.lengths, a.slopes, a.sinks, a.mask, a.bias, a.out,
    a.lse, a.sums, a.mantissa, a.exponent,
  ),
};

export const KV_APPEND: OperatorOf<'kv_append'> = {
  name: 'kv_append',
  inputs: ['shape', 'k', 'v', 'table'],
  outputs: [],
  inPlace: null,
  call: (kernel, a) => kernel(
    a.shape, a.k, a.v, a.slabs, a.scales, a.table, a.from,
  ),
};

export const ARGMAX: OperatorOf<'argmax'> = {
  name: 'argmax',
  inputs: ['x'],
  outputs: ['indices'],
  inPlace: null,
  call: (kernel, a) => kernel(
    a.x, a.indices, a.rows, a.cols,
  ),
};

export const TOP_K: OperatorOf<'top_k'> = {
  name: 'top_k',
  inputs: ['x', 'mask', 'bias'],
  outputs: ['indices', 'values'],
  inPlace: null,
  call: (kernel, a) => kernel(
    a.x, a.indices, a.values, a.rows, a.cols, a.k, a.mask, a.maskLayout, a.bias,
  ),
};

export const SAMPLE: OperatorOf<'sample'> = {
  name: 'sample',
  inputs: ['x', 'uniforms', 'mask', 'bias'],
  outputs: ['tokens', 'kept', 'probabilities', 'status'],
  inPlace: null,
  call: (kernel, a) => kernel(
    a.x, a.tokens, a.kept, a.probabilities, a.status, a.uniforms, a.rows, a.cols, a.draws, a.topK,
    a.temperature, a.topP, a.minDistance, a.typicalP, a.epsilon, a.mask, a.maskLayout, a.bias,
  ),
};
