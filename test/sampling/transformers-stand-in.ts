/**
 * A stand-in for @huggingface/transformers, which has 1 GB with its dependencies: generate()'s calls of logits
 * processors, and the processors that transformers.test.ts compares with. That test also runs against the package.
 */
type Ids = readonly (readonly bigint[])[];

interface LogitsTensor {
  data: Float32Array;
  dims: number[];
}

export class Tensor implements LogitsTensor {
  constructor(
    readonly type: string,
    readonly data: Float32Array,
    readonly dims: number[],
  ) {}
}

/** Its instances are functions that call their own method `_call`. */
export class LogitsProcessor {
  constructor() {
    const instance = (...args: [Ids, LogitsTensor]): LogitsTensor => (instance as unknown as this)._call(...args);
    return Object.setPrototypeOf(instance, new.target.prototype) as LogitsProcessor;
  }

  _call(_ids: Ids, _logits: LogitsTensor): LogitsTensor {
    throw new Error('Expected a subclass with _call');
  }
}

export class LogitsProcessorList extends LogitsProcessor {
  readonly processors: ((ids: Ids, logits: LogitsTensor) => LogitsTensor)[] = [];

  push(processor: (ids: Ids, logits: LogitsTensor) => LogitsTensor): void {
    this.processors.push(processor);
  }

  override _call(ids: Ids, logits: LogitsTensor): LogitsTensor {
    return this.processors.reduce((result, processor) => processor(ids, result), logits);
  }
}

export class TemperatureLogitsWarper extends LogitsProcessor {
  constructor(readonly temperature: number) {
    super();
  }

  override _call(_ids: Ids, logits: LogitsTensor): LogitsTensor {
    logits.data.set(logits.data.map((x) => x / this.temperature));
    return logits;
  }
}

export class RepetitionPenaltyLogitsProcessor extends LogitsProcessor {
  constructor(readonly penalty: number) {
    super();
  }

  /** Treats each token of a sequence once: a negative logit is multiplied by the penalty, another one divided. */
  override _call(ids: Ids, logits: LogitsTensor): LogitsTensor {
    const cols = logits.dims.at(-1)!;
    ids.forEach((sequence, row) => {
      for (const token of new Set(sequence)) {
        const at = row * cols + Number(token);
        const x = logits.data[at]!;
        logits.data[at] = x < 0 ? x * this.penalty : x / this.penalty;
      }
    });
    return logits;
  }
}

/** The k largest elements of one row and their indices, largest first. */
export async function topk(
  { data }: LogitsTensor,
  k: number,
): Promise<[{ data: Float32Array }, { data: BigInt64Array }]> {
  const best = [...data.keys()].sort((a, b) => data[b]! - data[a]! || a - b).slice(0, k);
  return [{ data: Float32Array.from(best, (i) => data[i]!) }, { data: BigInt64Array.from(best, BigInt) }];
}

export function softmax(x: Float32Array): Float32Array {
  const top = x.reduce((a, b) => Math.max(a, b));
  const terms = x.map((each) => Math.exp(each - top));
  const sum = terms.reduce((a, b) => a + b, 0);
  return terms.map((term) => term / sum);
}
