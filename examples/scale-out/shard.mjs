// A process that serves one shard. Start it twice, and the shard has a replica.
//
//   node examples/scale-out/shard.mjs nats://127.0.0.1:4222 vocabulary 0 2     the first of two shards of a vocabulary
//   node examples/scale-out/shard.mjs redis://127.0.0.1:6379 cache 1 2         the second of two shards of a KV cache
//   node examples/scale-out/shard.mjs nats://127.0.0.1:4222 vocabulary,cache 0 2     the first of both
//
// With a fifth argument: milliseconds until BullMQ gives the job of a dead worker to another one.
import { serve } from './engine.mjs';
import { SHARDS } from './model.mjs';

const [url, names, shard, count, stalled = '5000'] = process.argv.slice(2);
for (const name of names.split(',')) {
  const answer = SHARDS[name](Number(shard), Number(count));
  await serve(url, { name, shard: Number(shard), answer, stalled: Number(stalled) });
}
console.log('ready');
