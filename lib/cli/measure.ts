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

/** A function that is timed; one that gives a promise is over when the promise is. */
type Timed = () => unknown;

async function time(call: Timed, calls: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < calls; i++) {
    const result = call();
    if (result instanceof Promise) await result;
  }
  return performance.now() - start;
}

/** Calls a function until it is warm; returns the number of calls in one round. */
async function warmUp(call: Timed): Promise<number> {
  let calls = 1;
  let elapsed = await time(call, calls);
  for (let total = elapsed; total < WARM_UP; total += elapsed) {
    if (elapsed < ROUND) calls *= 2;
    elapsed = await time(call, calls);
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

/**
 * Times functions for about `budget` milliseconds, and for at least a few rounds. `tell` hears after each round which
 * part of it is over.
 */
export async function inTurns(
  functions: readonly Timed[],
  budget: number,
  tell: (part: number) => void = () => {},
): Promise<Timing[]> {
  const start = performance.now();
  const calls: number[] = [];
  for (const each of functions) calls.push(await warmUp(each));
  const samples: number[][] = functions.map(() => []);
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const spent = performance.now() - start;
    if (round >= FEWEST_ROUNDS && spent >= budget) break;
    for (let turn = 0; turn < functions.length; turn++) {
      const i = (turn + round) % functions.length;
      samples[i]!.push((await time(functions[i]!, calls[i]!)) / calls[i]!);
    }
    tell(Math.min(1, Math.max((round + 1) / MOST_ROUNDS, spent / budget)));
  }
  return samples.map(timing);
}
