// The engine of a server's address: NATS for nats://, BullMQ for redis://. Only the one that is used is loaded.

const isRedis = (url) => url.startsWith('redis:');
const redis = (url) => ({ url, maxRetriesPerRequest: null });

async function natsConnection(url) {
  const { connect } = await import('@nats-io/transport-node');
  return connect({ servers: url });
}

/** Serves a shard. Resolves, to what stops it, once requests reach it. */
export async function serve(url, options) {
  if (isRedis(url)) {
    const { serveBullMQ } = await import('./bullmq.mjs');
    const worker = serveBullMQ(redis(url), options);
    await worker.waitUntilReady();
    return () => worker.close(true);
  }
  const [connection, { serveNats }] = await Promise.all([natsConnection(url), import('./nats.mjs')]);
  serveNats(connection, options);
  await connection.flush();
  return () => connection.close();
}

/** The client of all shards, and what closes it. */
export async function client(url, options) {
  if (isRedis(url)) {
    const { BullMQShards } = await import('./bullmq.mjs');
    const shards = new BullMQShards(redis(url), options);
    return { shards, close: () => shards.close() };
  }
  const [connection, { NatsShards }] = await Promise.all([natsConnection(url), import('./nats.mjs')]);
  return { shards: new NatsShards(connection, options), close: () => connection.close() };
}
