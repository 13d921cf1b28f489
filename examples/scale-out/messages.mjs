// Messages between a client and its shards: frames of bytes, each behind its length (uint32, little-endian). A request
// is options as JSON and an array of floats. A reply begins with a byte: 0, then states; or 1, then an error's text.

/** An error that names the shard. */
export class ShardError extends Error {
  constructor(shard, expected, received, cause) {
    super(`Expected ${expected} of shard ${shard} but received ${received}`, { cause });
    this.name = 'ShardError';
    this.code = 'ERR_SHARD';
    this.shard = shard;
  }
}

const bytesOf = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

export function pack(frames) {
  const bytes = new Uint8Array(frames.reduce((total, frame) => total + 4 + frame.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const frame of frames) {
    view.setUint32(at, frame.length, true);
    bytes.set(frame, at + 4);
    at += 4 + frame.length;
  }
  return bytes;
}

/** Views of the frames. RangeError for bytes that pack() does not write. */
export function unpack(given) {
  const bytes = bytesOf(given); // no Buffer, whose slice() shares memory
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frames = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 4 <= bytes.length ? at + 4 + view.getUint32(at, true) : Infinity;
    if (end > bytes.length) throw new RangeError(`Expected whole frames but received ${bytes.length} bytes`);
    frames.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return frames;
}

export const request = (options, floats) => pack([Buffer.from(JSON.stringify(options)), bytesOf(floats)]);

export function readRequest(bytes) {
  const [options, floats] = unpack(bytes);
  return { ...JSON.parse(Buffer.from(options).toString()), floats: new Float32Array(floats.slice().buffer) };
}

/** The reply of a shard; what it throws goes to the client. */
export function reply(answer, bytes) {
  try {
    return pack([Uint8Array.of(0), ...answer(readRequest(bytes))]);
  } catch (error) {
    return pack([Uint8Array.of(1), Buffer.from(String(error?.message ?? error))]);
  }
}

/** The frames of a shard's reply. */
export function readReply(shard, bytes) {
  let frames;
  try {
    frames = unpack(bytes);
  } catch (error) {
    throw new ShardError(shard, 'whole frames', `${bytes.length} bytes`, error);
  }
  const [status, ...rest] = frames;
  if (status?.length === 1 && status[0] === 0) return rest;
  const text = status?.[0] === 1 && rest.length === 1 ? Buffer.from(rest[0]).toString() : `${bytes.length} bytes`;
  throw new ShardError(shard, 'states', text);
}
