/** verifyDraft, beamStep and the draws of samplers as promises, off the event loop. */
import type { AsyncOptions } from '../call/abort.js';
import { stepsLater } from '../call/steps.js';
import { checkOptions } from '../call/options.js';
import type { FloatArray, LogitArray, NewUint32Array } from '../call/types.js';
import { beamStepSteps } from './beam-step.js';
import type { Tokens } from './penalty-options.js';
import { checkFloats } from './options.js';
import { sampleAllSteps, type Sampler } from './sampler.js';
import type { SampleAllOptions } from './sampler-options.js';
import { verifyDraftSteps, type VerifiedDraft, type VerifiedTree, type VerifyDraftOptions } from './verify-draft.js';

export type { BeamStep, BeamStepOptions } from './beam-step.js';
export type { SampleAllOptions } from './sampler-options.js';
export type { VerifiedDraft, VerifiedTree, VerifyDraftOptions } from './verify-draft.js';

/**
 * As beamStep of flash-softmax/sampling.
 *
 * @example
 * import { beamStep } from 'flash-softmax/promises';
 * console.log((await beamStep(Float32Array.of(0, 2, 3, 0), [-1, -1.5], 2)).tokens.join(' ')); // → 1 0
 */
export const beamStep = /* @__PURE__ */ stepsLater(beamStepSteps, 3);

const verified = /* @__PURE__ */ stepsLater(verifyDraftSteps, 3);

/**
 * As verifyDraft of flash-softmax/sampling.
 *
 * @example
 * import { verifyDraft } from 'flash-softmax/promises';
 * const target = Float32Array.of(0, 9, 0, 9, 0, 0); // for the drafted token, and the one behind it
 * console.log(await verifyDraft(null, target, [1], { cols: 3, temperature: 0 })); // → { accepted: 1, token: 0 }
 */
export function verifyDraft<A extends LogitArray>(
  draft: LogitArray | null,
  target: A,
  tokens: Tokens,
  options: VerifyDraftOptions<A> & AsyncOptions & { parents: ArrayLike<number> },
): Promise<VerifiedTree>;
export function verifyDraft<A extends LogitArray>(
  draft: LogitArray | null,
  target: A,
  tokens: Tokens,
  options?: VerifyDraftOptions<A> & AsyncOptions,
): Promise<VerifiedDraft>;
export async function verifyDraft(
  draft: LogitArray | null,
  target: LogitArray,
  tokens: Tokens,
  options?: VerifyDraftOptions & AsyncOptions,
): Promise<VerifiedDraft> {
  return verified(draft, target, tokens, options);
}

const allSampled = /* @__PURE__ */ stepsLater(
  (form, samplers: ArrayLike<Sampler>, logits: FloatArray, options?: SampleAllOptions & AsyncOptions) =>
    sampleAllSteps(form, samplers, logits, options),
  2,
);

/**
 * As Sampler.sampleAll of flash-softmax/sampling: the same tokens. The samplers' states change when the promise
 * resolves, and not at all if it rejects or is aborted. Until it settles, a sampler refuses other draws, `accept` and
 * `restore` with a RangeError (ERR_INVALID_STATE).
 *
 * @example
 * import { sampleAll } from 'flash-softmax/promises';
 * import { Sampler } from 'flash-softmax/sampling';
 * const samplers = [1, 2].map((seed) => new Sampler({ temperature: 0.8, seed })); // two sequences
 * console.log((await sampleAll(samplers, Float32Array.of(1, 3, 2, 9, 0, 0))).join(' ')); // → 2 0
 */
export async function sampleAll(
  samplers: ArrayLike<Sampler>,
  logits: FloatArray,
  options?: SampleAllOptions & AsyncOptions,
): Promise<NewUint32Array> {
  return allSampled(samplers, logits, options);
}

/**
 * As `next` of a Sampler of flash-softmax/sampling, under the rules of {@link sampleAll}.
 *
 * @example
 * import { sampleNext } from 'flash-softmax/promises';
 * import { Sampler } from 'flash-softmax/sampling';
 * console.log(await sampleNext(new Sampler({ temperature: 0 }), Float32Array.of(1, 3, 2))); // → 1
 */
export async function sampleNext(sampler: Sampler, logits: FloatArray, options?: AsyncOptions): Promise<number> {
  checkOptions(options, ['signal']);
  checkFloats(logits, 'logits');
  const [token] = await allSampled([sampler], logits, { signal: options?.signal });
  return token!;
}
