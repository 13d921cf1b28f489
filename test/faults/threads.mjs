// Calls of every kind before, while and after no thread can be started: argv has the entry point and that of promises.
// Prints the backend, and how many results differ from the first.
const [, , entry, promises] = process.argv;
const { capabilities, setThreads, softmax, logSumExp } = await import(entry);
const later = await import(promises);

setThreads(4);
const x = Float32Array.from({ length: 300_000 }, (_, i) => Math.sin(i) * 9);
const same = (a, b) => Buffer.compare(Buffer.from(a.buffer, a.byteOffset, a.byteLength), Buffer.from(b.buffer)) === 0;

async function all() {
  const sums = Float32Array.from(await later.logSumExp(x, { cols: 1000 }));
  const jobs = await Promise.all(Array.from({ length: 6 }, () => later.softmax(x, { cols: 1000 })));
  return [softmax(x, { cols: 1000 }), Float32Array.from(logSumExp(x, { cols: 1000 })), sums, ...jobs];
}

const isLate = process.env.FAULT_FROM === 'the second call';
const wanted = isLate ? await all() : undefined;
process.env.FAULT = 'pthread_create';
setThreads(7); // asks for more than there are
const without = await all();
delete process.env.FAULT;
setThreads(3);
const after = await all();
const first = wanted ?? after;
const differ = [...without, ...after].filter((y, i) => !same(y, first[i % first.length])).length;
console.log(JSON.stringify({ backend: capabilities().backend, differ }));
