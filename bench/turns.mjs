// Times tasks in turns, so that a disturbance of the machine falls on all alike.
import { cpus } from 'node:os';
import { capabilities, setThreads } from 'flash-softmax';

const SAMPLE = 1; // milliseconds that a sample takes at least: the clock and a cold start must not count

/** Milliseconds of processor time: for a machine that other jobs share. */
export function processorTime() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Milliseconds that a task takes, `repeats` times in a row. It gets the number of its call. */
async function timed(task, { first, repeats, clock }) {
  const start = clock();
  for (let i = 0; i < repeats; i++) await task(first + i);
  return (clock() - start) / repeats;
}

/**
 * The median, half the interquartile range and the best time of each task, in milliseconds. Tasks may be async. A task
 * may be `{ prepare, run }`: `prepare` comes before each sample and is not timed.
 */
export async function turns(tasks, { rounds = 15, clock = () => performance.now() } = {}) {
  const all = [];
  for (const [name, given] of Object.entries(tasks)) {
    const { prepare = () => {}, run: task } = typeof given === 'function' ? { run: given } : given;
    await prepare();
    await timed(task, { first: 0, repeats: 2, clock });
    const once = await timed(task, { first: 2, repeats: 1, clock: () => performance.now() });
    all.push({ name, prepare, task, first: 3, repeats: Math.min(1000, Math.ceil(SAMPLE / once)), times: [] });
  }
  for (let round = 0; round < rounds; round++) {
    for (const each of all) {
      await each.prepare();
      each.times.push(await timed(each.task, { ...each, clock }));
      each.first += each.repeats;
    }
  }
  return Object.fromEntries(all.map(summary));
}

function summary({ name, times }) {
  times.sort((a, b) => a - b);
  const at = (part) => times[Math.floor(part * (times.length - 1))];
  return [name, { median: at(0.5), spread: (at(0.75) - at(0.25)) / 2, best: times[0] }];
}

/** Prints what runs: figures of another processor are other figures. */
export const machine = () =>
  console.log(`${cpus()[0].model.trim()}, ${capabilities().backend}, Node ${process.versions.node}`);

/** Holds calls to one thread, and says so. Returns how many there were. */
export function oneThread() {
  const threads = setThreads(1);
  machine();
  console.log('one thread\n');
  return threads;
}

/** Prints medians, half the interquartile ranges and best times, and ratios to the median of one task. */
export function show(title, times, unit) {
  console.log(
    `\n${title}${' '.repeat(Math.max(1, 64 - title.length))}median ± spread, best in µs${unit ? `; × ${unit}` : ''}`,
  );
  for (const [name, { median, spread, best }] of Object.entries(times)) {
    const cells = [median, spread, best].map((ms) => (1000 * ms).toFixed(1).padStart(10));
    const ratio = unit ? (median / times[unit].median).toPrecision(3).padStart(10) : '';
    console.log(`${name.padEnd(62)}${cells.join('')}${ratio}`);
  }
}

/** Prints lines of cells as a Markdown table, numbers to three digits. */
export function table(head, lines) {
  const text = (cell) => (typeof cell === 'number' ? cell.toPrecision(3) : cell);
  const row = (cells) => `| ${cells.map(text).join(' | ')} |`;
  console.log([row(head), row(head.map((_, i) => (i ? '--:' : '---'))), ...lines.map(row)].join('\n'));
}
