// Times tasks in turns, so that a disturbance of the machine falls on all alike, and prints their medians as a table.
import { cpus } from 'node:os';
import { capabilities, setThreads } from '../dist/index.js';

const SAMPLE = 1; // milliseconds that a sample takes at least: the clock and a cold start must not count

async function timed(task, repeats) {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) await task();
  return (performance.now() - start) / repeats;
}

/** The median, half the interquartile range and the best time of each task, in milliseconds. Tasks may be async. */
export async function turns(tasks, rounds = 15) {
  const all = [];
  for (const [name, task] of Object.entries(tasks)) {
    await timed(task, 2);
    all.push({ name, task, repeats: Math.ceil(SAMPLE / (await timed(task, 1))), times: [] });
  }
  for (let round = 0; round < rounds; round++)
    for (const each of all) each.times.push(await timed(each.task, each.repeats));
  const summary = ({ name, times }) => {
    times.sort((a, b) => a - b);
    const at = (part) => times[Math.floor(part * (times.length - 1))];
    return [name, { median: at(0.5), spread: (at(0.75) - at(0.25)) / 2, best: times[0] }];
  };
  return Object.fromEntries(all.map(summary));
}

/** Holds calls to one thread, and prints what runs: figures of other processors are other figures. */
export function oneThread() {
  setThreads(1);
  console.log(`${cpus()[0].model.trim()}, ${capabilities().backend}, Node ${process.versions.node}, one thread\n`);
}

/** Prints lines of cells as a Markdown table, numbers to three digits. */
export function table(head, lines) {
  const text = (cell) => (typeof cell === 'number' ? cell.toPrecision(3) : cell);
  const row = (cells) => `| ${cells.map(text).join(' | ')} |`;
  console.log([row(head), row(head.map((_, i) => (i ? '--:' : '---'))), ...lines.map(row)].join('\n'));
}
