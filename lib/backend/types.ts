/** The types of operators. Made by scripts/operators.mjs from native/operators.def. Do not edit. */
interface SameOrWider extends SingleOrHalf {
  f64: { x: Float64Array; y: Float64Array };
}
interface Same extends Floats {
  f16: { x: Uint16Array; y: Uint16Array };
  bf16: { x: Uint16Array; y: Uint16Array };
}
interface SingleOrHalf extends Single {
  f16: { x: Uint16Array; y: Uint16Array };
  bf16: { x: Uint16Array; y: Uint16Array };
  f16_f32: { x: Uint16Array; y: Float32Array };
  bf16_f32: { x: Uint16Array; y: Float32Array };
}
interface Single {
  f32: { x: Float32Array; y: Float32Array };
}
interface Stored extends Single {
  f16: { x: Uint16Array; y: Uint16Array };
  bf16: { x: Uint16Array; y: Uint16Array };
  i8: { x: Int8Array; y: Int8Array };
}
interface AtLeastSingle extends ToSingle {
  f64: { x: Float64Array; y: Float64Array };
}
interface Floats extends Single {
  f64: { x: Float64Array; y: Float64Array };
}
interface ToSingle extends Single {
  f16: { x: Uint16Array; y: Float32Array };
  bf16: { x: Uint16Array; y: Float32Array };
}

/** The types that an operator has kernels for, by name: x is the type of its logits, y that of its results. */
export interface OperatorTypes {
  softmax: SameOrWider;
  log_softmax: SameOrWider;
  log_sum_exp: Same;
  cross_entropy: Same;
  row_loss: Same;
  stable_max: SameOrWider;
  log_stable_max: SameOrWider;
  stable_max_loss: Same;
  taylor_softmax: SameOrWider;
  z_loss: Same;
  soft_top_k: SameOrWider;
  soft_top_k_backward: SameOrWider;
  safe_step_radius: Same;
  softmax_backward: SameOrWider;
  exp_sum: Same;
  normalize: SameOrWider;
  attention: SingleOrHalf;
  attention_exact: SameOrWider;
  attention_backward: Single;
  attention_cached: Stored;
  kv_append: Stored;
  linear_append: Single;
  linear_query: Single;
  argmax: Same;
  top_k: Same;
  sample: AtLeastSingle;
  moments: Same;
  sample_penalized: Floats;
  soft_nms: Single;
  iou_matrix: Single;
  decode_yolo: Single;
  route: ToSingle;
  load_balance_loss: ToSingle;
  route_backward: ToSingle;
  head_logits: Single;
  head_integer_logits: Single;
  head_rows: Single;
  head_sums: Single;
}
