// Shards of a KV cache: each has some of the keys, and answers queries with states of partial attention. The unit is a
// part of 512 keys, merged in order, so that results do not depend on how many shards there are; `perShard` sends one
// state a shard, for less traffic and the same results but for roundings of 2^-53.
import { attentionPartial, AttentionPartial, KVCache, mergeAttentionPartials } from 'flash-softmax/attention';
import { Gather } from './gather.mjs';
import { request } from './messages.mjs';

export const KEYS = 512;

/** The keys of each shard, and the shard of each part. */
export function cacheLayout(total, count) {
  const parts = Math.ceil(total / KEYS);
  const share = Math.ceil(parts / count);
  const owners = Array.from({ length: parts }, (_, part) => Math.floor(part / share));
  const shards = Array.from({ length: count }, (_, shard) => ({
    from: Math.min(total, shard * share * KEYS),
    to: Math.min(total, (shard + 1) * share * KEYS),
  }));
  return { owners, shards };
}

/**
 * The function of a shard from a request to its reply.
 *
 * @param k Its keys, [to − from, kvHeads, headDim]. @param v Its values, likewise.
 */
export function cacheShard({ k, v, kvHeads, headDim, shard, from, to, total }) {
  const cache = new KVCache({ kvHeads, headDim });
  const token = kvHeads * headDim;
  const parts = [];
  for (let at = from; at < to; at += KEYS) {
    const [start, end] = [(at - from) * token, (Math.min(to, at + KEYS) - from) * token];
    const sequence = cache.create();
    cache.append(sequence, k.subarray(start, end), v.subarray(start, end));
    parts.push({ sequence, number: at / KEYS, from: at });
  }
  return function answer({ epoch, perShard, options, floats: q }) {
    const states = parts.map(({ sequence, from: keyOffset }) =>
      attentionPartial(q, cache, sequence, { ...options, keyOffset, totalKeys: total }),
    );
    if (perShard) return states.length === 0 ? [] : [mergeAttentionPartials(states).toBytes({ shard, epoch })];
    return states.map((state, i) => state.toBytes({ shard: parts[i].number, epoch }));
  };
}

/**
 * Attention of one query row over the keys of all shards.
 *
 * @param options `q`; `total` keys; `epoch`, a number that no other request has; `perShard`; `attention`, the options
 *   of attentionPartial; `sinks` and `heads`, which count once.
 * @returns { out, lse }
 */
export async function attendShards(shards, { q, total, epoch, timeout, perShard = false, attention = {}, ...finish }) {
  const { owners } = cacheLayout(total, shards.count);
  const gather = new Gather({
    epoch,
    rows: 1,
    owners: perShard ? [...new Set(owners)] : owners,
    read: (bytes) => AttentionPartial.fromBytes(bytes),
  });
  const asked = request({ epoch, perShard, options: attention }, q);
  await shards.ask(asked, timeout, (shard, frames) => {
    for (const frame of frames) gather.add(shard, frame);
    return gather.has(shard);
  });
  return mergeAttentionPartials(gather.statesOf(0)).finish({ ...finish, lse: true });
}
