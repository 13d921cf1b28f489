// Measures peers on the same logits. Every result is checked against a double-precision oracle before it is timed. The
// samples of all peers are interleaved in shuffled order: a disturbance of the machine affects all alike.
import { generator, logitsOf } from './rows.mjs';

const SAMPLE_SECONDS = 0.003; // long enough for the clock, short enough for many rounds
const WARM_UP_SECONDS = 0.1; // lets the JIT compiler finish
export const WRONG = 2 ** -10; // a relative error of this size is a wrong result, not an inexact one

export function exactSoftmax(x, cols) {
  const exact = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += cols) {
    const row = x.subarray(start, start + cols);
    let max = -Infinity;
    for (const value of row) if (value > max) max = value;
    let sum = 0;
    let lost = 0; // Kahan: the rounding error of the sum
    for (let i = 0; i < cols; i++) {
      const term = (exact[start + i] = Math.exp(row[i] - max)) - lost;
      const next = sum + term;
      lost = next - sum - term;
      sum = next;
    }
    for (let i = start; i < start + cols; i++) exact[i] /= sum;
  }
  return exact;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The largest errors among normal results: in units of the exact result's last place, relative and absolute. */
function largestError(y, exact) {
  let ulp = 0;
  let relative = 0;
  let absolute = 0;
  for (let i = 0; i < exact.length; i++) {
    const size = Math.abs(exact[i]);
    if (size < 2 ** -126) continue;
    const error = Math.abs(y[i] - exact[i]);
    float[0] = size;
    const exponent = (bits[0] >>> 23) - 127;
    ulp = Math.max(ulp, error * 2 ** (23 - exponent)); // NaN if the error is NaN
    relative = Math.max(relative, error / size);
    absolute = Math.max(absolute, error);
  }
  return { ulp, relative, absolute };
}

/** Gives an in-process peer the shape of one in another process: load, result, sample. */
export function timed({ prepare, ...peer }) {
  let run;
  return {
    ...peer,
    load: (x, rows, cols) => void (run = prepare(x, rows, cols)),
    result: async () => run(),
    async sample(calls) {
      const start = performance.now();
      if (peer.isAsync) for (let i = 0; i < calls; i++) await run();
      else for (let i = 0; i < calls; i++) run();
      return { seconds: (performance.now() - start) / 1e3 / calls };
    },
    unload: () => void (run = undefined),
  };
}

const quantile = (sorted, q) => sorted[Math.round(q * (sorted.length - 1))];
const ascending = (numbers) => [...numbers].sort((a, b) => a - b);

/** Warms a peer up; returns the calls of a sample. */
async function calibrate(peer) {
  let calls = 1;
  for (let spent = 0; ;) {
    const { seconds } = await peer.sample(calls);
    spent += seconds * calls;
    calls = Math.max(1, Math.round(SAMPLE_SECONDS / seconds));
    if (spent > WARM_UP_SECONDS) return calls;
  }
}

/** `exactOf` is the oracle, softmax by default; `isWrong` says which errors are no rounding errors. */
export async function measureCase(peers, { rows, cols, kind = 'normal', deviation, rounds, ...operator }) {
  const { exactOf = exactSoftmax, isWrong = ({ relative }) => !(relative < WRONG) } = operator;
  const x = logitsOf(kind, rows * cols, deviation);
  const exact = exactOf(x, cols);
  const entries = [];
  for (const peer of peers) {
    await peer.load(x, rows, cols);
    const error = peer.isCopy ? { ulp: null } : largestError(await peer.result(), exact);
    if (!peer.isCopy && isWrong(error)) {
      console.log(`${peer.name}: wrong by ${error.absolute} at ${rows} × ${cols}, so not timed`);
      continue;
    }
    entries.push({ peer, ulp: error.ulp, calls: await calibrate(peer), seconds: [], memcpy: [] });
  }
  const random = generator(rounds);
  for (let round = 0; round < rounds; round++) {
    const order = entries.map((entry) => [random(), entry]).sort(([a], [b]) => a - b);
    for (const [, entry] of order) {
      const { seconds, memcpy } = await entry.peer.sample(entry.calls);
      entry.seconds.push(seconds);
      if (memcpy !== undefined) entry.memcpy.push(memcpy);
    }
  }
  for (const { peer } of entries) peer.unload?.();
  const copy = entries.find(({ peer }) => peer.isCopy).seconds;
  return {
    rows,
    cols,
    kind,
    results: entries.map(({ peer, ulp, seconds, memcpy }) => {
      const yardstick = memcpy.length > 0 ? memcpy : copy; // of the peer's process
      const sorted = ascending(seconds);
      return {
        name: peer.name,
        seconds: quantile(sorted, 0.5),
        low: quantile(sorted, 0.1),
        high: quantile(sorted, 0.9),
        toMemcpy: quantile(ascending(seconds.map((s, round) => s / yardstick[round])), 0.5),
        ulp,
      };
    }),
  };
}
