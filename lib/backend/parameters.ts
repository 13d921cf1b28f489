/** The parameters of operators. Made by scripts/operators.mjs from native/operators.def. Do not edit. */
type Rows = {
  outer: number; cols: number; inner: number; temperature: number; mask: Uint8Array | null; maskLayout: number;
};
type OrderedRows = [
  outer: number, cols: number, inner: number, temperature: number, mask: Uint8Array | null, maskLayout: number,
];
type LogitRows<X> = { bias: X | null } & Rows;
type OrderedLogitRows<X> = [...rows: OrderedRows, bias: X | null];
type UnscaledRows<X> = {
  outer: number; cols: number; inner: number; mask: Uint8Array | null; maskLayout: number; bias: X | null;
};
type OrderedUnscaledRows<X> = [
  outer: number, cols: number, inner: number, mask: Uint8Array | null, maskLayout: number, bias: X | null,
];
type MaskAndBias<X> = { mask: Uint8Array | null; maskLayout: number; bias: X | null };
type OrderedMaskAndBias<X> = [mask: Uint8Array | null, maskLayout: number, bias: X | null];
type Filters = {
  topK: number; temperature: number; topP: number; minDistance: number; typicalP: number; epsilon: number;
};
type OrderedFilters = [
  topK: number, temperature: number, topP: number, minDistance: number, typicalP: number, epsilon: number,
];
type BoxFormat = { format: number; edge: number };
type OrderedBoxFormat = [format: number, edge: number];
type Suppression = { method: number; sigma: number; iouThreshold: number; scoreThreshold: number };
type OrderedSuppression = [method: number, sigma: number, iouThreshold: number, scoreThreshold: number];
type ScoreChanges = {
  slopes: Float32Array | null; sinks: Float32Array | null; mask: Uint8Array | null; bias: Float32Array | null;
};
type OrderedScoreChanges = [
  slopes: Float32Array | null, sinks: Float32Array | null, mask: Uint8Array | null, bias: Float32Array | null,
];
type AttentionResults = {
  out: Float32Array | null; lse: Float64Array | null; sums: Float64Array | null; mantissa: Float64Array | null;
  exponent: Int32Array | null;
};
type OrderedAttentionResults = [
  out: Float32Array | null, lse: Float64Array | null, sums: Float64Array | null, mantissa: Float64Array | null,
  exponent: Int32Array | null,
];
type WideScoreChanges = {
  wideSlopes: Float64Array | null; wideSinks: Float64Array | null; wideBias: Float64Array | null;
};
type OrderedWideScoreChanges = [
  wideSlopes: Float64Array | null, wideSinks: Float64Array | null, wideBias: Float64Array | null,
];
type AttentionSums = {
  lse: Float64Array | null; sums: Float64Array | null; mantissa: Float64Array | null; exponent: Int32Array | null;
};
type OrderedAttentionSums = [
  lse: Float64Array | null, sums: Float64Array | null, mantissa: Float64Array | null, exponent: Int32Array | null,
];
type LinearSizes = { heads: number; depth: number; valueDepth: number };
type OrderedLinearSizes = [heads: number, depth: number, valueDepth: number];
type FeatureMap = { feature: number; featureScale: number };
type OrderedFeatureMap = [feature: number, featureScale: number];
type HeadWeights = {
  weights: Uint8Array; scales: Float32Array | null; zeroPoints: Uint8Array | null; rows: number; cols: number;
  block: number; format: number;
};
type OrderedHeadWeights = [
  weights: Uint8Array, scales: Float32Array | null, zeroPoints: Uint8Array | null, rows: number, cols: number,
  block: number, format: number,
];
type LinearForm = { keys: number; form: number; scale: number; epsilon: number };
type OrderedLinearForm = [keys: number, form: number, scale: number, epsilon: number];

/** The parameters of an operator by name: X is the type of its logits, Y that of its results. */
export interface NamedParameters<X, Y> {
  softmax: { x: X; out: Y } & LogitRows<X>;
  log_softmax: { x: X; out: Y } & LogitRows<X>;
  log_sum_exp: { x: X; out: Float64Array } & LogitRows<X>;
  cross_entropy: { x: X; targets: Int32Array; loss: Float64Array; gradient: X | null } & LogitRows<X>;
  row_loss: {
    x: X; targets: Int32Array; soft: X | null; weight: Float64Array | null; given: Float64Array | null;
    loss: Float64Array; gradient: X | null; kind: number; parameter: number; smoothing: number; lsePenalty: number;
    scale: number;
  } & LogitRows<X>;
  stable_max: { x: X; out: Y } & UnscaledRows<X>;
  log_stable_max: { x: X; out: Y } & UnscaledRows<X>;
  stable_max_loss: {
    x: X; targets: Int32Array; loss: Float64Array; gradient: X | null; scale: number;
  } & UnscaledRows<X>;
  taylor_softmax: { x: X; out: Y; order: number } & LogitRows<X>;
  z_loss: {
    x: X; targets: Int32Array; loss: Float64Array; gradient: X | null; a: number; b: number;
  } & UnscaledRows<X>;
  soft_top_k: { x: X; out: Y; status: Int32Array; k: number; alpha: number } & UnscaledRows<X>;
  soft_top_k_backward: { p: X; dp: X; out: Y; alpha: number; outer: number; cols: number; inner: number };
  safe_step_radius: { x: X; out: Float64Array; reach: number } & UnscaledRows<X>;
  softmax_backward: { y: X; dy: X; out: Y; isLog: number } & Rows;
  exp_sum: { x: X; mantissa: Float64Array; exponent: Int32Array } & LogitRows<X>;
  normalize: { x: X; out: Y; mantissa: Float64Array; exponent: Int32Array } & LogitRows<X>;
  attention: {
    shape: Float64Array; spans: Float64Array | null; keyLengths: Int32Array | null; q: X; k: X; v: X; out: Y | null;
  } & ScoreChanges & AttentionSums;
  attention_exact: {
    shape: Float64Array; spans: Float64Array | null; keyLengths: Int32Array | null; q: X; k: X; v: X; out: Y | null;
    weights: Y | null; scores: Y | null; stage: number;
  } & ScoreChanges & WideScoreChanges & AttentionSums;
  attention_backward: {
    shape: Float64Array; spans: Float64Array | null; keyLengths: Int32Array | null; q: Float32Array; k: Float32Array;
    v: Float32Array; out: Float32Array; lse: Float64Array; dOut: Float32Array; dq: Float32Array | null;
    dk: Float32Array | null; dv: Float32Array | null; dBias: Float32Array | null; dSinks: Float32Array | null;
  } & ScoreChanges;
  attention_cached: {
    shape: Float64Array; spans: Float64Array | null; q: Float32Array; slabs: readonly X[];
    scales: readonly Float32Array[]; table: Uint32Array; lengths: Int32Array;
  } & ScoreChanges & AttentionResults;
  kv_append: {
    shape: Float64Array; k: Float32Array; v: Float32Array; slabs: readonly X[]; scales: readonly Float32Array[];
    table: Uint32Array; from: number;
  };
  linear_append: {
    sums: Float64Array; k: Float32Array; v: Float32Array; out: Float64Array; tokens: number;
  } & LinearSizes & FeatureMap;
  linear_query: {
    q: Float32Array; sums: Float64Array; out: Float32Array; queries: number;
  } & LinearSizes & FeatureMap & LinearForm;
  argmax: { x: X; indices: Uint32Array; rows: number; cols: number };
  top_k: {
    x: X; indices: Uint32Array; values: X; targets: Uint32Array | null; ranks: Uint32Array | null; rows: number;
    cols: number; k: number;
  } & MaskAndBias<X>;
  sample: {
    x: X; tokens: Uint32Array; kept: Y | null; probabilities: Y | null; status: Int32Array; uniforms: Float64Array;
    rowFilters: Float64Array | null; rows: number; cols: number; draws: number;
  } & Filters & MaskAndBias<X>;
  moments: {
    x: X; temperatures: Float64Array; spread: Float64Array | null; mass: Float64Array | null; status: Int32Array;
    rows: number; cols: number;
  } & MaskAndBias<X>;
  sample_penalized: {
    x: X; tokens: Uint32Array; status: Int32Array; uniforms: Float64Array; entries: Uint32Array; regions: Uint32Array;
    settings: Float64Array; rows: number; cols: number; slots: number;
  };
  soft_nms: {
    boxes: Float32Array; scores: Float32Array; classes: Int32Array | null; indices: Uint32Array; kept: Float32Array;
    counts: Uint32Array; status: Uint32Array; batch: number; n: number; most: number;
  } & BoxFormat & Suppression;
  iou_matrix: {
    boxes: Float32Array; others: Float32Array; out: Float32Array; status: Uint32Array; rows: number; cols: number;
  } & BoxFormat;
  decode_yolo: {
    x: Float32Array; boxes: Float32Array; scores: Float32Array; labels: Int32Array; indices: Uint32Array;
    counts: Uint32Array; status: Uint32Array; batch: number; n: number; classes: number; layout: number;
    format: number; scoreThreshold: number;
  };
  route: {
    x: X; chosen: Uint32Array; weights: Y; counts: Uint32Array; status: Int32Array; bias: Float64Array | null;
    mask: Uint8Array | null; tokens: number; experts: number; k: number; groups: number; topGroups: number;
    score: number; normalize: number; scale: number;
  };
  load_balance_loss: {
    x: X; shares: Float64Array; means: Float64Array; gradient: X | null; status: Int32Array; mask: Uint8Array | null;
    tokens: number; experts: number; score: number; factor: number;
  };
  route_backward: {
    x: X; chosen: Uint32Array; weights: Float32Array; slopes: Float32Array; out: X; status: Int32Array;
    tokens: number; experts: number; k: number; score: number; normalize: number; scale: number;
  };
  head_logits: {
    hidden: Float32Array; factors: Float32Array | null; bias: Float32Array | null; out: Float32Array; count: number;
    softcap: number;
  } & HeadWeights;
  head_integer_logits: {
    hidden: Float32Array; factors: Float32Array | null; bias: Float32Array | null; out: Float32Array; count: number;
    softcap: number;
  } & HeadWeights;
  head_rows: { factors: Float32Array | null; out: Float32Array } & HeadWeights;
  head_sums: {
    sums: Float64Array; factors: Float32Array; vectors: Float32Array; out: Float64Array; count: number; rows: number;
    cols: number;
  };
}

/** The same parameters in the order of kernels. */
export interface OrderedParameters<X, Y> {
  softmax: [x: X, out: Y, ...logitRows: OrderedLogitRows<X>];
  log_softmax: [x: X, out: Y, ...logitRows: OrderedLogitRows<X>];
  log_sum_exp: [x: X, out: Float64Array, ...logitRows: OrderedLogitRows<X>];
  cross_entropy: [
    x: X, targets: Int32Array, loss: Float64Array, gradient: X | null, ...logitRows: OrderedLogitRows<X>,
  ];
  row_loss: [
    x: X, targets: Int32Array, soft: X | null, weight: Float64Array | null, given: Float64Array | null,
    loss: Float64Array, gradient: X | null, kind: number, parameter: number, smoothing: number, lsePenalty: number,
    scale: number, ...logitRows: OrderedLogitRows<X>,
  ];
  stable_max: [x: X, out: Y, ...unscaledRows: OrderedUnscaledRows<X>];
  log_stable_max: [x: X, out: Y, ...unscaledRows: OrderedUnscaledRows<X>];
  stable_max_loss: [
    x: X, targets: Int32Array, loss: Float64Array, gradient: X | null, scale: number,
    ...unscaledRows: OrderedUnscaledRows<X>,
  ];
  taylor_softmax: [x: X, out: Y, order: number, ...logitRows: OrderedLogitRows<X>];
  z_loss: [
    x: X, targets: Int32Array, loss: Float64Array, gradient: X | null, a: number, b: number,
    ...unscaledRows: OrderedUnscaledRows<X>,
  ];
  soft_top_k: [x: X, out: Y, status: Int32Array, k: number, alpha: number, ...unscaledRows: OrderedUnscaledRows<X>];
  soft_top_k_backward: [p: X, dp: X, out: Y, alpha: number, outer: number, cols: number, inner: number];
  safe_step_radius: [x: X, out: Float64Array, reach: number, ...unscaledRows: OrderedUnscaledRows<X>];
  softmax_backward: [y: X, dy: X, out: Y, isLog: number, ...rows: OrderedRows];
  exp_sum: [x: X, mantissa: Float64Array, exponent: Int32Array, ...logitRows: OrderedLogitRows<X>];
  normalize: [x: X, out: Y, mantissa: Float64Array, exponent: Int32Array, ...logitRows: OrderedLogitRows<X>];
  attention: [
    shape: Float64Array, spans: Float64Array | null, keyLengths: Int32Array | null, q: X, k: X, v: X,
    ...scoreChanges: OrderedScoreChanges, out: Y | null, ...attentionSums: OrderedAttentionSums,
  ];
  attention_exact: [
    shape: Float64Array, spans: Float64Array | null, keyLengths: Int32Array | null, q: X, k: X, v: X,
    ...scoreChanges: OrderedScoreChanges, ...wideScoreChanges: OrderedWideScoreChanges, out: Y | null,
    weights: Y | null, scores: Y | null, stage: number, ...attentionSums: OrderedAttentionSums,
  ];
  attention_backward: [
    shape: Float64Array, spans: Float64Array | null, keyLengths: Int32Array | null, q: Float32Array, k: Float32Array,
    v: Float32Array, ...scoreChanges: OrderedScoreChanges, out: Float32Array, lse: Float64Array, dOut: Float32Array,
    dq: Float32Array | null, dk: Float32Array | null, dv: Float32Array | null, dBias: Float32Array | null,
    dSinks: Float32Array | null,
  ];
  attention_cached: [
    shape: Float64Array, spans: Float64Array | null, q: Float32Array, slabs: readonly X[],
    scales: readonly Float32Array[], table: Uint32Array, lengths: Int32Array, ...scoreChanges: OrderedScoreChanges,
    ...attentionResults: OrderedAttentionResults,
  ];
  kv_append: [
    shape: Float64Array, k: Float32Array, v: Float32Array, slabs: readonly X[], scales: readonly Float32Array[],
    table: Uint32Array, from: number,
  ];
  linear_append: [
    sums: Float64Array, k: Float32Array, v: Float32Array, out: Float64Array, tokens: number,
    ...linearSizes: OrderedLinearSizes, ...featureMap: OrderedFeatureMap,
  ];
  linear_query: [
    q: Float32Array, sums: Float64Array, out: Float32Array, queries: number, ...linearSizes: OrderedLinearSizes,
    ...featureMap: OrderedFeatureMap, ...linearForm: OrderedLinearForm,
  ];
  argmax: [x: X, indices: Uint32Array, rows: number, cols: number];
  top_k: [
    x: X, indices: Uint32Array, values: X, targets: Uint32Array | null, ranks: Uint32Array | null, rows: number,
    cols: number, k: number, ...maskAndBias: OrderedMaskAndBias<X>,
  ];
  sample: [
    x: X, tokens: Uint32Array, kept: Y | null, probabilities: Y | null, status: Int32Array, uniforms: Float64Array,
    rowFilters: Float64Array | null, rows: number, cols: number, draws: number, ...filters: OrderedFilters,
    ...maskAndBias: OrderedMaskAndBias<X>,
  ];
  moments: [
    x: X, temperatures: Float64Array, spread: Float64Array | null, mass: Float64Array | null, status: Int32Array,
    rows: number, cols: number, ...maskAndBias: OrderedMaskAndBias<X>,
  ];
  sample_penalized: [
    x: X, tokens: Uint32Array, status: Int32Array, uniforms: Float64Array, entries: Uint32Array, regions: Uint32Array,
    settings: Float64Array, rows: number, cols: number, slots: number,
  ];
  soft_nms: [
    boxes: Float32Array, scores: Float32Array, classes: Int32Array | null, indices: Uint32Array, kept: Float32Array,
    counts: Uint32Array, status: Uint32Array, batch: number, n: number, most: number, ...boxFormat: OrderedBoxFormat,
    ...suppression: OrderedSuppression,
  ];
  iou_matrix: [
    boxes: Float32Array, others: Float32Array, out: Float32Array, status: Uint32Array, rows: number, cols: number,
    ...boxFormat: OrderedBoxFormat,
  ];
  decode_yolo: [
    x: Float32Array, boxes: Float32Array, scores: Float32Array, labels: Int32Array, indices: Uint32Array,
    counts: Uint32Array, status: Uint32Array, batch: number, n: number, classes: number, layout: number,
    format: number, scoreThreshold: number,
  ];
  route: [
    x: X, chosen: Uint32Array, weights: Y, counts: Uint32Array, status: Int32Array, bias: Float64Array | null,
    mask: Uint8Array | null, tokens: number, experts: number, k: number, groups: number, topGroups: number,
    score: number, normalize: number, scale: number,
  ];
  load_balance_loss: [
    x: X, shares: Float64Array, means: Float64Array, gradient: X | null, status: Int32Array, mask: Uint8Array | null,
    tokens: number, experts: number, score: number, factor: number,
  ];
  route_backward: [
    x: X, chosen: Uint32Array, weights: Float32Array, slopes: Float32Array, out: X, status: Int32Array,
    tokens: number, experts: number, k: number, score: number, normalize: number, scale: number,
  ];
  head_logits: [
    hidden: Float32Array, factors: Float32Array | null, bias: Float32Array | null, out: Float32Array, count: number,
    softcap: number, ...headWeights: OrderedHeadWeights,
  ];
  head_integer_logits: [
    hidden: Float32Array, factors: Float32Array | null, bias: Float32Array | null, out: Float32Array, count: number,
    softcap: number, ...headWeights: OrderedHeadWeights,
  ];
  head_rows: [factors: Float32Array | null, out: Float32Array, ...headWeights: OrderedHeadWeights];
  head_sums: [
    sums: Float64Array, factors: Float32Array, vectors: Float32Array, out: Float64Array, count: number, rows: number,
    cols: number,
  ];
}
