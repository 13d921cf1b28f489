// Shards behind NATS, for online work. A shard is a subject, and its replicas are a queue group: each request goes to
// one of them. A client that waits too long asks once more, and another replica may answer; states that arrive twice
// count once (gather.mjs).
import { createInbox } from '@nats-io/transport-node';
import { readReply, reply, ShardError } from './messages.mjs';

/** Answers requests to a shard, beside its other replicas. */
export function serveNats(connection, { name, shard, answer }) {
  return connection.subscribe(`${name}.${shard}`, {
    queue: 'replicas',
    callback: (error, message) => void (error ?? message.respond(reply(answer, message.data))),
  });
}

/** The client of all shards. */
export class NatsShards {
  #connection;
  #name;
  #timeout;
  #hedge;
  #inbox = createInbox();
  #open = new Map();
  #last = 0;

  /**
   * @param options `name` and `count` of the shards; `timeout`, milliseconds until a request fails; `hedge`,
   *   milliseconds until shards that have not answered are asked once more, and then again.
   */
  constructor(connection, { name, count, timeout = 1000, hedge = 100 }) {
    this.#connection = connection;
    this.#name = name;
    this.count = count;
    this.#timeout = timeout;
    this.#hedge = hedge;
    // One subscription for all replies: inbox.request.shard
    connection.subscribe(`${this.#inbox}.*.*`, { callback: (error, message) => error ?? this.#receive(message) });
  }

  /**
   * Sends bytes to all shards.
   *
   * @param take Takes the frames of a reply; returns whether the shard has sent all. What it throws ends the request.
   * @throws ShardError that names a shard which has not answered in time, or which nobody serves.
   */
  ask(bytes, timeout = this.#timeout, take) {
    return new Promise((resolve, reject) => {
      const id = String(++this.#last);
      const missing = new Set(Array.from({ length: this.count }, (_, shard) => shard));
      const send = () => {
        for (const shard of missing) {
          this.#connection.publish(`${this.#name}.${shard}`, bytes, { reply: `${this.#inbox}.${id}.${shard}` });
        }
      };
      const hedge = setInterval(() => attempt(send), this.#hedge);
      const end = setTimeout(() => {
        const [shard] = missing;
        finish(() => reject(new ShardError(shard, `an answer within ${timeout} ms`, 'none')));
      }, timeout);
      const finish = (settle) => {
        clearInterval(hedge);
        clearTimeout(end);
        this.#open.delete(id);
        settle();
      };
      const attempt = (body) => {
        try {
          body();
        } catch (error) {
          finish(() => reject(error));
        }
      };
      this.#open.set(id, (shard, message) =>
        attempt(() => {
          if (message.headers?.code === 503) throw new ShardError(shard, 'an answer', 'no replica');
          if (take(shard, readReply(shard, message.data))) missing.delete(shard);
          if (missing.size === 0) finish(resolve);
        }),
      );
      attempt(send);
    });
  }

  #receive(message) {
    const [id, shard] = message.subject.slice(this.#inbox.length + 1).split('.');
    this.#open.get(id)?.(Number(shard), message); // a reply after the end of its request has no one to take it
  }
}
