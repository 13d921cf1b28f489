/** What kernels take, for WebAssembly. Made by scripts/operators.mjs from native/operators.def. Do not edit. */
const SAME_OR_WIDER = 'f32:Float32 f64:Float64 f16:Uint16 bf16:Uint16 f16_f32:Uint16:Float32 bf16_f32:Uint16:Float32';
const SAME = 'f32:Float32 f64:Float64 f16:Uint16 bf16:Uint16';
const SINGLE_OR_HALF = 'f32:Float32 f16:Uint16 bf16:Uint16 f16_f32:Uint16:Float32 bf16_f32:Uint16:Float32';
const SINGLE = 'f32:Float32';
const STORED = 'f32:Float32 f16:Uint16 bf16:Uint16 i8:Int8';
const AT_LEAST_SINGLE = 'f32:Float32 f64:Float64 f16:Uint16:Float32 bf16:Uint16:Float32';
const FLOATS = 'f32:Float32 f64:Float64';
const TO_SINGLE = 'f32:Float32 f16:Uint16:Float32 bf16:Uint16:Float32';

/** An operator, its module, its types (name:X:Y), and its parameters (name:kind, name:role:element:length). */
export type Signature = readonly [name: string, module: string, types: string, parameters: string];

export const SIGNATURES: readonly Signature[] = [
  [
    'softmax',
    'softmax',
    SAME_OR_WIDER,
    `x:input:X:outer*cols*inner out:output:Y:outer*cols*inner outer:rows cols:size inner:size temperature:number
      mask:input:Uint8:mask maskLayout:number bias:input:X:bias`,
  ],
  [
    'log_softmax',
    'logarithms',
    SAME_OR_WIDER,
    `x:input:X:outer*cols*inner out:output:Y:outer*cols*inner outer:rows cols:size inner:size temperature:number
      mask:input:Uint8:mask maskLayout:number bias:input:X:bias`,
  ],
  [
    'log_sum_exp',
    'logarithms',
    SAME,
    `x:input:X:outer*cols*inner out:output:Float64:outer*inner outer:rows cols:size inner:size temperature:number
      mask:input:Uint8:mask maskLayout:number bias:input:X:bias`,
  ],
  [
    'cross_entropy',
    'logarithms',
    SAME,
    `x:input:X:outer*cols*inner targets:input:Int32:outer*inner loss:output:Float64:outer*inner
      gradient:output:X:outer*cols*inner outer:rows cols:size inner:size temperature:number mask:input:Uint8:mask
      maskLayout:number bias:input:X:bias`,
  ],
  [
    'row_loss',
    'logarithms',
    SAME,
    `x:input:X:outer*cols*inner targets:input:Int32:outer*inner soft:input:X:outer*cols*inner
      weight:input:Float64:cols given:input:Float64:2*outer*inner loss:output:Float64:outer*inner
      gradient:output:X:outer*cols*inner kind:number parameter:number smoothing:number lsePenalty:number scale:number
      outer:rows cols:size inner:size temperature:number mask:input:Uint8:mask maskLayout:number bias:input:X:bias`,
  ],
  [
    'stable_max',
    'losses',
    SAME_OR_WIDER,
    `x:input:X:outer*cols*inner out:output:Y:outer*cols*inner outer:rows cols:size inner:size mask:input:Uint8:mask
      maskLayout:number bias:input:X:bias`,
  ],
  [
    'log_stable_max',
    'losses',
    SAME_OR_WIDER,
    `x:input:X:outer*cols*inner out:output:Y:outer*cols*inner outer:rows cols:size inner:size mask:input:Uint8:mask
      maskLayout:number bias:input:X:bias`,
  ],
  [
    'stable_max_loss',
    'losses',
    SAME,
    `x:input:X:outer*cols*inner targets:input:Int32:outer*inner loss:output:Float64:outer*inner
      gradient:output:X:outer*cols*inner scale:number outer:size cols:size inner:size mask:input:Uint8:mask
      maskLayout:number bias:input:X:bias`,
  ],
  [
    'taylor_softmax',
    'losses',
    SAME_OR_WIDER,
    `x:input:X:outer*cols*inner out:output:Y:outer*cols*inner order:size outer:rows cols:size inner:size
      temperature:number mask:input:Uint8:mask maskLayout:number bias:input:X:bias`,
  ],
  [
    'z_loss',
    'losses',
    SAME,
    `x:input:X:outer*cols*inner targets:input:Int32:outer*inner loss:output:Float64:outer*inner
      gradient:output:X:outer*cols*inner a:number b:number outer:size cols:size inner:size mask:input:Uint8:mask
      maskLayout:number bias:input:X:bias`,
  ],
  [
    'soft_top_k',
    'losses',
    SAME_OR_WIDER,
    `x:input:X:outer*cols*inner out:kept:Y:outer*cols*inner status:output:Int32:outer*inner k:number alpha:number
      outer:rows cols:size inner:size mask:input:Uint8:mask maskLayout:number bias:input:X:bias`,
  ],
  [
    'soft_top_k_backward',
    'losses',
    SAME_OR_WIDER,
    `p:input:X:outer*cols*inner dp:input:X:outer*cols*inner out:output:Y:outer*cols*inner alpha:number outer:rows
      cols:size inner:size`,
  ],
  [
    'safe_step_radius',
    'losses',
    SAME,
    `x:input:X:outer*cols*inner out:output:Float64:outer*inner reach:number outer:rows cols:size inner:size
      mask:input:Uint8:mask maskLayout:number bias:input:X:bias`,
  ],
  [
    'softmax_backward',
    'softmax',
    SAME_OR_WIDER,
    `y:input:X:outer*cols*inner dy:input:X:outer*cols*inner out:output:Y:outer*cols*inner isLog:number outer:rows
      cols:size inner:size temperature:number mask:input:Uint8:mask maskLayout:number`,
  ],
  [
    'exp_sum',
    'softmax',
    SAME,
    `x:input:X:outer*cols*inner mantissa:kept:Float64:outer*inner exponent:kept:Int32:outer*inner outer:rows
      cols:size inner:size temperature:number mask:input:Uint8:mask maskLayout:number bias:input:X:bias`,
  ],
  [
    'normalize',
    'softmax',
    SAME_OR_WIDER,
    `x:input:X:outer*cols*inner out:output:Y:outer*cols*inner mantissa:input:Float64:outer*inner
      exponent:input:Int32:outer*inner outer:rows cols:size inner:size temperature:number mask:input:Uint8:mask
      maskLayout:number bias:input:X:bias`,
  ],
  [
    'attention',
    'attention',
    SINGLE_OR_HALF,
    `shape:input:Float64 spans:input:Float64 keyLengths:input:Int32 q:input:X k:input:X v:input:X
      slopes:input:Float32 sinks:input:Float32 mask:input:Uint8 bias:input:Float32 out:output:Y:#0*#1*#3*#6
      lse:output:Float64:#0*#1*#3 sums:output:Float64:#0*#1*#3*#6 mantissa:output:Float64:#0*#1*#3
      exponent:output:Int32:#0*#1*#3`,
  ],
  [
    'attention_exact',
    'attention',
    SAME_OR_WIDER,
    `shape:input:Float64 spans:input:Float64 keyLengths:input:Int32 q:input:X k:input:X v:input:X
      slopes:input:Float32 sinks:input:Float32 mask:input:Uint8 bias:input:Float32 wideSlopes:input:Float64
      wideSinks:input:Float64 wideBias:input:Float64 out:output:Y:#0*#1*#3*#6 weights:output:Y:#0*#1*#3*#4
      scores:output:Y:#0*#1*#3*#4 stage:number lse:output:Float64:#0*#1*#3 sums:output:Float64:#0*#1*#3*#6
      mantissa:output:Float64:#0*#1*#3 exponent:output:Int32:#0*#1*#3`,
  ],
  [
    'attention_backward',
    'attention',
    SINGLE,
    `shape:input:Float64 spans:input:Float64 keyLengths:input:Int32 q:input:Float32 k:input:Float32 v:input:Float32
      slopes:input:Float32 sinks:input:Float32 mask:input:Uint8 bias:input:Float32 out:input:Float32 lse:input:Float64
      dOut:input:Float32 dq:output:Float32:#0*#1*#3*#5 dk:output:Float32:#0*#2*#4*#5 dv:output:Float32:#0*#2*#4*#6
      dBias:output:Float32 dSinks:output:Float32:#1`,
  ],
  [
    'attention_cached',
    'attention',
    STORED,
    `shape:input:Float64 spans:input:Float64 q:input:Float32 slabs:slabs:X scales:slabs:Float32 table:input:Uint32
      lengths:input:Int32 slopes:input:Float32 sinks:input:Float32 mask:input:Uint8 bias:input:Float32
      out:output:Float32:#0*#1*#3*#6 lse:output:Float64:#0*#1*#3 sums:output:Float64:#0*#1*#3*#6
      mantissa:output:Float64:#0*#1*#3 exponent:output:Int32:#0*#1*#3`,
  ],
  [
    'kv_append',
    'attention',
    STORED,
    `shape:input:Float64 k:input:Float32 v:input:Float32 slabs:written-slabs:X scales:written-slabs:Float32
      table:input:Uint32 from:size`,
  ],
  [
    'linear_append',
    'attention',
    SINGLE,
    `sums:input:Float64 k:input:Float32:heads*tokens*depth v:input:Float32:heads*tokens*valueDepth out:output:Float64
      tokens:size heads:size depth:size valueDepth:size feature:number featureScale:number`,
  ],
  [
    'linear_query',
    'attention',
    SINGLE,
    `q:input:Float32:heads*queries*depth sums:input:Float64 out:output:Float32:heads*queries*valueDepth queries:size
      heads:size depth:size valueDepth:size feature:number featureScale:number keys:number form:number scale:number
      epsilon:number`,
  ],
  [
    'argmax',
    'sampling',
    SAME,
    `x:input:X:rows*cols indices:output:Uint32:rows rows:rows cols:size`,
  ],
  [
    'top_k',
    'sampling',
    SAME,
    `x:input:X:rows*cols indices:output:Uint32:rows*k values:output:X:rows*k targets:input:Uint32:rows
      ranks:output:Uint32:rows rows:rows cols:size k:size mask:input:Uint8:mask maskLayout:number bias:input:X:bias`,
  ],
  [
    'sample',
    'sampling',
    AT_LEAST_SINGLE,
    `x:input:X:rows*cols tokens:kept:Uint32:rows*draws kept:kept:Y:rows*cols probabilities:kept:Y:rows*cols
      status:output:Int32:rows uniforms:input:Float64:rows*draws rowFilters:input:Float64:6*rows rows:rows cols:size
      draws:size topK:size temperature:number topP:number minDistance:number typicalP:number epsilon:number
      mask:input:Uint8:mask maskLayout:number bias:input:X:bias`,
  ],
  [
    'moments',
    'sampling',
    SAME,
    `x:input:X:rows*cols temperatures:input:Float64:rows spread:kept:Float64:rows*3 mass:kept:Float64:rows*4
      status:output:Int32:rows rows:rows cols:size mask:input:Uint8:mask maskLayout:number bias:input:X:bias`,
  ],
  [
    'sample_penalized',
    'sampling',
    FLOATS,
    `x:input:X:rows*cols tokens:kept:Uint32:rows status:output:Int32:rows uniforms:input:Float64:rows
      entries:input:Uint32:slots*8 regions:input:Uint32:rows*2 settings:input:Float64:rows*11 rows:rows cols:size
      slots:size`,
  ],
  [
    'soft_nms',
    'detection',
    SINGLE,
    `boxes:input:Float32:batch*n*4 scores:input:Float32:batch*n classes:input:Int32:batch*n
      indices:kept:Uint32:batch*most kept:kept:Float32:batch*most counts:output:Uint32:batch
      status:output:Uint32:batch batch:size n:size most:size format:number edge:number method:number sigma:number
      iouThreshold:number scoreThreshold:number`,
  ],
  [
    'iou_matrix',
    'detection',
    SINGLE,
    `boxes:input:Float32:rows*4 others:input:Float32:cols*4 out:kept:Float32:rows*cols status:output:Uint32:2
      rows:size cols:size format:number edge:number`,
  ],
  [
    'decode_yolo',
    'detection',
    SINGLE,
    `x:input:Float32 boxes:kept:Float32:batch*n*4 scores:kept:Float32:batch*n labels:kept:Int32:batch*n
      indices:kept:Uint32:batch*n counts:output:Uint32:batch status:output:Uint32:batch batch:size n:size classes:size
      layout:number format:number scoreThreshold:number`,
  ],
  [
    'route',
    'routing',
    TO_SINGLE,
    `x:input:X:tokens*experts chosen:kept:Uint32:tokens*k weights:kept:Y:tokens*k counts:output:Uint32:experts
      status:output:Int32:tokens bias:input:Float64:experts mask:input:Uint8:tokens tokens:size experts:size k:size
      groups:size topGroups:size score:number normalize:number scale:number`,
  ],
  [
    'load_balance_loss',
    'routing',
    TO_SINGLE,
    `x:input:X:tokens*experts shares:input:Float64:experts means:kept:Float64:tokens gradient:kept:X:tokens*experts
      status:output:Int32:tokens mask:input:Uint8:tokens tokens:rows experts:size score:number factor:number`,
  ],
  [
    'route_backward',
    'routing',
    TO_SINGLE,
    `x:input:X:tokens*experts chosen:input:Uint32:tokens*k weights:input:Float32:tokens*k
      slopes:input:Float32:tokens*k out:kept:X:tokens*experts status:output:Int32:tokens tokens:rows experts:size
      k:size score:number normalize:number scale:number`,
  ],
  [
    'head_logits',
    'head',
    SINGLE,
    `hidden:input:Float32:count*cols factors:input:Float32:rows bias:input:Float32:rows out:output:Float32:count*rows
      count:size softcap:number weights:input:Uint8 scales:input:Float32 zeroPoints:input:Uint8 rows:size cols:size
      block:size format:number`,
  ],
  [
    'head_integer_logits',
    'head',
    SINGLE,
    `hidden:input:Float32:count*cols factors:input:Float32:rows bias:input:Float32:rows out:output:Float32:count*rows
      count:size softcap:number weights:input:Uint8 scales:input:Float32 zeroPoints:input:Uint8 rows:size cols:size
      block:size format:number`,
  ],
  [
    'head_rows',
    'head',
    SINGLE,
    `factors:input:Float32:rows out:output:Float32:rows*cols weights:input:Uint8 scales:input:Float32
      zeroPoints:input:Uint8 rows:size cols:size block:size format:number`,
  ],
  [
    'head_sums',
    'head',
    SINGLE,
    `sums:input:Float64:count*cols factors:input:Float32:count*rows vectors:input:Float32:rows*cols
      out:output:Float64:count*cols count:size rows:size cols:size`,
  ],
];
