/** All operators of the public interface, and the weight of each in the draw. */
import type { Maker } from './case.js';
import type { Draw } from './draw.js';
import { attentionMakers } from './attention-cases.js';
import { backwardMakers } from './backward-cases.js';
import { cacheMakers } from './cache-cases.js';
import { detectionMakers } from './detection-cases.js';
import { headMakers } from './head-cases.js';
import { linearMakers } from './linear-cases.js';
import { lossMakers } from './loss-cases.js';
import { termMakers } from './loss-terms.js';
import { lucidMakers } from './lucid-cases.js';
import { marginMakers } from './margin-cases.js';
import { noiseMakers } from './noise-cases.js';
import { oodMakers } from './ood-cases.js';
import { penaltyMakers } from './penalty-cases.js';
import { polynomialMakers } from './polynomial-cases.js';
import { positivesMakers } from './positives-cases.js';
import { routingMakers } from './routing-cases.js';
import { rowMakers } from './row-cases.js';
import { samplingMakers } from './sampling-cases.js';
import { chainMakers } from './chain-cases.js';
import { signedMakers } from './signed-cases.js';
import { stableMakers } from './stable-cases.js';
import { sumMakers } from './sum-cases.js';
import { togetherMakers } from './together-cases.js';

export const makers: Readonly<Record<string, Maker>> = {
  ...rowMakers,
  ...lossMakers,
  ...stableMakers,
  ...sumMakers,
  ...attentionMakers,
  ...backwardMakers,
  ...cacheMakers,
  ...samplingMakers,
  ...chainMakers,
  ...noiseMakers,
  ...penaltyMakers,
  ...detectionMakers,
  ...routingMakers,
  ...oodMakers,
  ...termMakers,
  ...linearMakers,
  ...headMakers,
  ...lucidMakers,
  ...polynomialMakers,
  ...marginMakers,
  ...signedMakers,
  ...positivesMakers,
  ...togetherMakers,
};
export const operators: readonly string[] = Object.keys(makers);

/** The operators that most others are made of are drawn three times as often. */
const weighted = operators.flatMap((name) =>
  name === 'softmax' || name === 'logSoftmax' ? [name, name, name] : [name],
);

export const operatorOf = (draw: Draw): string => draw.pick(weighted);
