// Shards behind BullMQ on Redis, for batches: a job is many rows. A shard is a queue, and its workers are replicas. The
// job of a worker that dies is given to another one, once it has been silent for `stalled` milliseconds.
import { Queue, QueueEvents, Worker } from 'bullmq';
import { readReply, reply, ShardError } from './messages.mjs';

const queueName = (name, shard) => `${name}-${shard}`;

/** Works on the jobs of a shard, beside its other replicas. A job may outlive three workers. */
export function serveBullMQ(connection, { name, shard, answer, stalled = 5000, onError = console.error }) {
  const work = async ({ data }) => Buffer.from(reply(answer, Buffer.from(data, 'base64'))).toString('base64');
  const times = { lockDuration: stalled, stalledInterval: stalled, maxStalledCount: 3 };
  return new Worker(queueName(name, shard), work, { connection, ...times }).on('error', onError);
}

/** The client of all shards. */
export class BullMQShards {
  #timeout;
  #shards;

  /** @param options `name` and `count` of the shards; `timeout`, milliseconds until a request fails. */
  constructor(connection, { name, count, timeout = 60_000 }) {
    this.count = count;
    this.#timeout = timeout;
    this.#shards = Array.from({ length: count }, (_, shard) => ({
      queue: new Queue(queueName(name, shard), { connection }),
      events: new QueueEvents(queueName(name, shard), { connection }),
    }));
  }

  /** As that of NatsShards. */
  async ask(bytes, timeout = this.#timeout, take) {
    const data = Buffer.from(bytes).toString('base64');
    await Promise.all(
      this.#shards.map(async ({ queue, events }, shard) => {
        await events.waitUntilReady();
        const job = await queue.add('states', data, { removeOnComplete: { age: 60 }, removeOnFail: { age: 60 } });
        const value = await job.waitUntilFinished(events, timeout).catch(async (error) => {
          await job.remove().catch(() => {}); // a worker that holds it may still be alive
          throw new ShardError(shard, `an answer within ${timeout} ms`, error.message, error);
        });
        if (!take(shard, readReply(shard, Buffer.from(value, 'base64')))) {
          throw new ShardError(shard, 'the states of all its parts', 'fewer');
        }
      }),
    );
  }

  async close() {
    await Promise.all(this.#shards.flatMap(({ queue, events }) => [queue.close(), events.close()]));
  }
}
