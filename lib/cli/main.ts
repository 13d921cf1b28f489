#!/usr/bin/env node
/** The program: calls run() with the arguments of the process. */
import { run } from './run.js';

// The reader of a pipe may close it early, as `head` does. That is not an error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

void run(process.argv.slice(2)).then((status) => {
  process.exitCode = status;
});
