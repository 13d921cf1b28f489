/**
 * Abuse that belongs to no single operator: fields of objects, states that change, settings, long lists, wire forms.
 */
import type { Api } from '../fuzz/case.js';
import type { AbuseCase } from './cases.js';

interface Cache {
  [name: string]: unknown;
  create(): number;
  append(id: number, k: unknown, v: unknown, options?: object): number;
  fork(id: number): number;
  free(id: number): void;
  truncate(id: number, length: number): void;
  length(id: number): number;
  read(id: number, from?: unknown, to?: unknown): { k: Float32Array };
  view(ids: unknown): { lengths: Int32Array; table: Uint32Array; slabs: unknown[] };
}
type CacheClass = new (options: object) => Cache;

const CODES = ['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE', 'ERR_MEMORY_ALLOCATION_FAILED'];

/** Runs a function that may throw errors with a code and no others; returns the fault that it finds. */
async function coded(body: () => unknown): Promise<string | undefined> {
  try {
    const result = await body();
    return typeof result === 'string' ? result : undefined;
  } catch (error) {
    const { code } = error as { code?: string };
    if (error instanceof TypeError && /^Cannot (assign to read only|set) property/.test(error.message))
      return undefined; // the field cannot be assigned
    return code !== undefined && CODES.includes(code)
      ? undefined
      : `an error without a code: ${String(error).split('\n', 1)[0]}`;
  }
}

/** The fault if a result is not the wanted one; else undefined. */
const equal = (got: unknown, wanted: unknown): string | undefined =>
  Object.is(got, wanted) ? undefined : `${String(got)}, not ${String(wanted)}`;

function filled(api: Api, options: object = {}): [Cache, number] {
  const cache = new (api.KVCache as unknown as CacheClass)({ kvHeads: 1, headDim: 64, ...options });
  const id = cache.create();
  cache.append(id, new Float32Array(64).fill(0.5), new Float32Array(64).fill(2));
  return [cache, id];
}

const casesOf = (name: string, body: (api: Api, sync: Api) => unknown): [string, AbuseCase['run']][] => [
  [`${name}, sync`, ({ sync }) => coded(() => body(sync, sync))],
  [`${name}, promise`, ({ sync, promises }) => coded(() => body(promises, sync))],
];
const syncCase = (name: string, body: (api: Api) => unknown): [string, AbuseCase['run']] => [
  name,
  ({ sync }) => coded(() => body(sync)),
];

const FIELDS = ['headDim', 'valueDim', 'kvHeads', 'pageSize', 'dtype', 'pageBytes', 'maxBytes', 'kind'] as const;

/** Assigns the fields that describe memory: results stay right, or the call is refused. */
const fields = FIELDS.flatMap((field) =>
  [1 << 20, 1, 0, -1, 'int8', NaN].flatMap((value) => [
    ...casesOf(`KVCache.${field} = ${value}, then decodeAttention`, async (api, sync) => {
      const [cache, id] = filled(sync);
      cache[field] = value;
      return equal(((await api.decodeAttention!(new Float32Array(64), cache, id)) as Float32Array)[0], 2);
    }),
    syncCase(`KVCache.${field} = ${value}, then append and read`, (api) => {
      const [cache, id] = filled(api);
      cache[field] = value;
      cache.append(id, new Float32Array(64 * 5000), new Float32Array(64 * 5000));
      return equal(cache.read(id).k[0], 0.5);
    }),
    syncCase(`KVCache.${field} defined as ${value}`, (api) => {
      const [cache, id] = filled(api);
      Object.defineProperty(cache, field, { value });
      cache.append(id, new Float32Array(64 * 5000), new Float32Array(64 * 5000));
      cache.truncate(id, 1);
      return equal((api.decodeAttention!(new Float32Array(64), cache, id) as Float32Array)[0], 2);
    }),
  ]),
);

const subclasses = casesOf('a subclass of KVCache whose view() lies', async (api, sync) => {
  class Liar extends (sync.KVCache as unknown as CacheClass) {
    override view(ids: unknown) {
      const view = super.view(ids);
      view.lengths[0] = 1 << 20;
      view.table.fill(2 ** 32 - 1);
      return view;
    }
  }
  const cache = new Liar({ kvHeads: 1, headDim: 64 });
  const id = cache.create();
  cache.append(id, new Float32Array(64), new Float32Array(64).fill(2));
  return equal(((await api.decodeAttention!(new Float32Array(64), cache, id)) as Float32Array)[0], 2);
});

/** While options are read, the cache's sequences are disposed and others take their pages. */
const meanwhile = ['heads', 'mask', 'lse', 'causal', 'scale'].flatMap((option) =>
  casesOf(`${option} frees the sequence`, async (api, sync) => {
    const [cache, id] = filled(sync);
    const options = Object.defineProperty({}, option, { enumerable: true, get: () => cache.free(id) });
    await api.decodeAttention!(new Float32Array(64), cache, id, options);
  }),
);

const sequences = [
  ...casesOf('sequences whose element frees the cache', async (api, sync) => {
    const [cache, id] = filled(sync);
    const list = [id, id];
    Object.defineProperty(list, 1, { get: () => (cache.free(id), id), enumerable: true });
    await api.decodeAttention!(new Float32Array(128), cache, list);
  }),
  ...casesOf('sequences whose length lies', async (api, sync) => {
    const [cache, id] = filled(sync);
    await api.decodeAttention!(
      new Float32Array(64),
      cache,
      new Proxy([id], { get: (list, name) => (name === 'length' ? 1 << 20 : (Reflect.get(list, name) as unknown)) }),
    );
  }),
  ...[-1, 0.5, 2 ** 32, NaN, '0', null, {}].flatMap((id) =>
    casesOf(`sequence ${String(id)}`, (api, sync) => api.decodeAttention!(new Float32Array(64), filled(sync)[0], id)),
  ),
  syncCase('read beyond the end', (api) => void filled(api)[0].read(0, 0, 1e9)),
  syncCase('read with an end that is an object', (api) => void filled(api)[0].read(0, 0, { valueOf: () => 1e9 })),
  syncCase('append while layout frees the sequence', (api) => {
    const [cache, id] = filled(api);
    cache.append(
      id,
      new Float32Array(64),
      new Float32Array(64),
      Object.defineProperty({}, 'layout', { enumerable: true, get: () => (cache.free(id), 'shd') }),
    );
  }),
  syncCase('append while layout appends', (api) => {
    const [cache, id] = filled(api);
    cache.append(
      id,
      new Float32Array(64),
      new Float32Array(64),
      Object.defineProperty({}, 'layout', {
        enumerable: true,
        get: () => (cache.append(id, new Float32Array(64 * 900), new Float32Array(64 * 900)), 'shd'),
      }),
    );
    return equal(cache.length(id), 902);
  }),
  syncCase('append of memory that keys and values share', (api) => {
    const [cache, id] = filled(api);
    const k = new Float32Array(new SharedArrayBuffer(256));
    return equal(cache.append(id, k, k), 2);
  }),
  ...[
    { kvHeads: 1e9, headDim: 1e9 },
    { kvHeads: 1, headDim: 2 ** 53 - 1 },
    { kvHeads: 1, headDim: 1, pageSize: 2 ** 40 },
    { kvHeads: 1, headDim: 1e8, pageSize: 16 },
    { kvHeads: 2 ** 26, headDim: 2 ** 26, pageSize: 2 ** 4 },
  ].map((options) =>
    syncCase(
      `KVCache of ${JSON.stringify(options)}`,
      (api) => void new (api.KVCache as unknown as CacheClass)(options),
    ),
  ),
];

/** A state that gives other arrays at the second read. */
function changing(parts: Record<string, unknown>, name: string, next: unknown): object {
  let reads = 0;
  const first = parts[name];
  return Object.defineProperty({ ...parts }, name, { enumerable: true, get: () => (reads++ ? next : first) });
}

const states = [
  ...['mantissa', 'exponent'].flatMap((part) =>
    [new Float64Array(1), new Int32Array(1), undefined].flatMap((next) =>
      casesOf(`normalize with a ${part} that becomes ${next?.constructor.name}`, async (api, sync) => {
        const x = new Float32Array(1 << 16);
        const state = sync.expSum!(x, { cols: 16 }) as Record<string, unknown>;
        await api.normalize!(x, changing(state, part, next), { cols: 16 });
      }),
    ),
  ),
  ...['out', 'mantissa', 'exponent'].map((part) =>
    syncCase(`mergeAttentionPartials with an ${part} that becomes shorter`, (api) => {
      const state = { out: new Float64Array(64), mantissa: new Float64Array(8).fill(1), exponent: new Int32Array(8) };
      api.mergeAttentionPartials!(changing(state, part, new Float64Array(1)), state);
    }),
  ),
  ...['ExpSumAccumulator', 'AttentionPartial'].flatMap((name) =>
    [0, 1, 16, 27, 28, 29, 100].map((n) =>
      syncCase(`${name}.fromBytes of ${n} bytes`, (api) => {
        for (const fill of [0, 255, 0x46])
          (api[name] as unknown as { fromBytes(bytes: Uint8Array): unknown }).fromBytes(new Uint8Array(n).fill(fill));
      }),
    ),
  ),
  syncCase('AttentionPartial.fromBytes of a header of 2^32 rows', (api) => {
    const { empty, fromBytes } = api.AttentionPartial as unknown as {
      empty(rows: number, dim: number): { toBytes(): Uint8Array };
      fromBytes(bytes: Uint8Array): unknown;
    };
    const bytes = empty(1, 1).toBytes();
    bytes.fill(255, 8, 16);
    fromBytes(bytes);
  }),
  syncCase(
    'AttentionPartial.empty of 2^50 rows',
    (api) =>
      void (api.AttentionPartial as unknown as { empty(rows: number, dim: number): unknown }).empty(2 ** 25, 2 ** 25),
  ),
];

const LONG = 300_000;
const long = [
  syncCase('accept of many tokens', (api) => {
    const sampler = new (
      api.Sampler as unknown as new (o: object) => { accept(t: unknown): unknown; history: unknown[] }
    )({ seed: 1 });
    sampler.accept(new Int32Array(LONG));
    return equal(sampler.history.length, LONG);
  }),
  syncCase('append of many pages', (api) => {
    const cache = new (api.KVCache as unknown as CacheClass)({ kvHeads: 1, headDim: 1, pageSize: 16 });
    const id = cache.create();
    return equal(cache.append(id, new Float32Array(16 * LONG), new Float32Array(16 * LONG)), 16 * LONG);
  }),
  ...casesOf('decodeAttention over many sequences', async (api, sync) => {
    const cache = new (sync.KVCache as unknown as CacheClass)({ kvHeads: 1, headDim: 1 });
    const ids = Array.from({ length: LONG }, () => cache.create());
    return equal(
      ((await api.decodeAttention!(new Float32Array(LONG), cache, ids, { heads: 1 })) as Float32Array).length,
      LONG,
    );
  }),
  ...casesOf('a shape of many dimensions', async (api) =>
    equal(
      ((await api.softmax!(new Float32Array(2), { shape: new Array(LONG).fill(1).concat(2) })) as Float32Array)[0],
      0.5,
    ),
  ),
  syncCase('banned tokens, history and biases by the hundred thousand', (api) => {
    const z = api.penalize!(new Float32Array(LONG), new Int32Array(LONG), {
      banned: new Int32Array(LONG),
      logitBias: Array.from({ length: LONG }, (_, i) => [i, 1]),
      forced: new Int32Array(LONG),
    }) as Float32Array;
    return equal(z.length, LONG);
  }),
];

const sizes = casesOf('growable shared memory grows', async (api) => {
  const Growable = SharedArrayBuffer as unknown as new (
    bytes: number,
    options: object,
  ) => SharedArrayBuffer & { grow(bytes: number): void };
  const memory = new Growable(4096, { maxByteLength: 1 << 20 });
  const x = new Float32Array(memory);
  const done = api.softmax!(x, { out: x });
  memory.grow(1 << 20);
  await done;
  return equal(x.slice(1024, 1030).join(), '0,0,0,0,0,0');
});

const options = casesOf('options that are a proxy without keys', async (api) =>
  equal(
    (
      (await api.softmax!(
        new Float32Array(4),
        new Proxy(
          {},
          {
            ownKeys: () => {
              throw Object.assign(new TypeError('own'), { code: CODES[0] });
            },
          },
        ),
      )) as Float32Array
    )[0],
    0.25,
  ),
);

export const handmade: readonly [string, AbuseCase['run']][] = [
  ...fields,
  ...subclasses,
  ...meanwhile,
  ...sequences,
  ...states,
  ...long,
  ...sizes,
  ...options,
];
