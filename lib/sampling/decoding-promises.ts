/** verifyDraft and beamStep as promises, off the event loop. */
import type { AsyncOptions } from '../call/abort.js';
import { stepsLater } from '../call/steps.js';
import type { LogitArray } from '../call/types.js';
import { beamStepSteps } from './beam-step.js';
import type { Tokens } from './penalty-options.js';
import { verifyDraftSteps, type VerifiedDraft, type VerifiedTree, type VerifyDraftOptions } from './verify-draft.js';

export type { BeamStep, BeamStepOptions } from './beam-step.js';
export type { VerifiedDraft, VerifiedTree, VerifyDraftOptions } from './verify-draft.js';

/** As beamStep of flash-softmax/sampling. */
export const beamStep = /* @__PURE__ */ stepsLater(beamStepSteps, 3);

const verified = /* @__PURE__ */ stepsLater(verifyDraftSteps, 3);

/** As verifyDraft of flash-softmax/sampling. */
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
