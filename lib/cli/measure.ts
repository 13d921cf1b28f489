/**
 * Times several functions in turns, so that a change of the machine (its clock, another process) affects all of them
 * alike.
 */

export interface Timing {
  /** Milliseconds of one call; the quartiles are over rounds. */
  readonly min: number;
  readonly lower: number;
  readonly median: number;
  readonly upper: number;
  readonly rounds: number;
}

const WARM_UP = 30; // milliseconds: enough for V8 to optimise the timed function
const ROUND = 1; // milliseconds of one function in one round: the clock's cost and resolution do not matter then
const FEWEST_ROUNDS = 3; // for a median, whatever the budget
const MOST_ROUNDS = 151; // more rounds would not change the median

function time(call: () => void, calls: number): number {
  const start = performance.now();
  for (let i = 0; i < calls; i++) call();
  return performance.now() - start;
}

/** Calls a function until it is warm; returns the number of calls in one round. */
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
  const quantile = (part: number) => sorted[Math.round(part * (sorted.length - 1))]!;
  return {
    min: sorted[0]!,
    lower: quantile(0.25),
    median: quantile(0.5),
    upper: quantile(0.75),
    rounds: sorted.length,
  };
}

/** Times functions for about `budget` milliseconds, and for at least a few rounds. */
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
