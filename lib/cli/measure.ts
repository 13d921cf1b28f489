/**
 * Times several functions in turns, so that whatever the machine does meanwhile (a clock that changes, a neighbour)
 * falls on all of them alike.
 */

export interface Timing {
  /** Milliseconds of one call; the quartiles are over rounds. */
  readonly min: number;
  readonly lower: number;
  readonly median: number;
  readonly upper: number;
  readonly rounds: number;
}

const WARM_UP = 30; // milliseconds: enough for V8 to have optimised what is going to be timed
const ROUND = 1; // milliseconds of one function in one round, so that the clock's own cost and grain vanish
const FEWEST_ROUNDS = 3; // whatever the budget: a median needs them
const MOST_ROUNDS = 151; // more would not move it

function time(call: () => void, calls: number): number {
  const start = performance.now();
  for (let i = 0; i < calls; i++) call();
  return performance.now() - start;
}

/** Runs a function warm; returns how many calls of it make one round. */
function warmUp(call: () => void): number {
  let calls = 1;
  let elapsed = time(call, calls);
  for (let total = elapsed; total < WARM_UP; total += elapsed) {
    if (elapsed < ROUND) calls *= 2;
    elapsed = time(call, calls);
  }
  return Math.max(1, Math.round((calls * ROUND) / elapsed));
}

function timing(samples: number[]): Timing {
  const sorted = Float64Array.from(samples).sort();
  const at = (part: number) => sorted[Math.round(part * (sorted.length - 1))]!;
  return { min: sorted[0]!, lower: at(0.25), median: at(0.5), upper: at(0.75), rounds: sorted.length };
}

/** Spends about `budget` milliseconds, but never less than a few rounds. */
export function inTurns(functions: readonly (() => void)[], budget: number): Timing[] {
  const end = performance.now() + budget;
  const calls = functions.map(warmUp);
  const samples: number[][] = functions.map(() => []);
  for (let round = 0; round < MOST_ROUNDS && (round < FEWEST_ROUNDS || performance.now() < end); round++) {
    for (let turn = 0; turn < functions.length; turn++) {
      const i = (turn + round) % functions.length;
      samples[i]!.push(time(functions[i]!, calls[i]!) / calls[i]!);
    }
  }
  return samples.map(timing);
}
