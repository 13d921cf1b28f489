/** Feature maps and forms of linear attention: their names, the numbers that kernels have for them, their checks. */
import { oneOf, positive } from '../call/checks.js';
import { wrongValue } from '../call/errors.js';
import { finite } from '../call/values.js';

/** A feature map φ: elu(x) + 1, x itself, e^x, or max(x, 0). */
export type FeatureMapName = 'elu' | 'identity' | 'exp' | 'relu';

/** The order of kernels (native/attention/linear_features.h). */
export const FEATURE_MAPS = ['elu', 'identity', 'exp', 'relu'] as const satisfies readonly FeatureMapName[];
export const [ELU, IDENTITY, EXP] = [0, 1, 2];

/** How a result follows from a state. */
export type LinearFormName = 'normalized' | 'sum' | 'magnitudeAware' | 'injective';

const FORMS = ['normalized', 'sum', 'magnitudeAware', 'injective'] as const satisfies readonly LinearFormName[];

/** The numbers of kernels (native/attention/linear_query.h). */
export const [NORMALIZED, SUM, MAGNITUDE_AWARE, MAGNITUDE_AWARE_PAPER, INJECTIVE] = [0, 1, 2, 3, 4];
const CODES = { normalized: NORMALIZED, sum: SUM, magnitudeAware: MAGNITUDE_AWARE, injective: INJECTIVE };

export interface FeatureOptions {
  /** φ, which queries and keys go through. */
  featureMap?: FeatureMapName | undefined;
  /** What queries and keys are multiplied by before φ: finite. InLine's own code has e^(0.2 x). Default: 1. */
  featureScale?: number | undefined;
}

export interface FormOptions {
  /**
   * How a result follows, with S = Σ φ(k)·vᵀ, z = φ(q) · Σ φ(k) and n keys: 'normalized' φ(q)·S / (z + epsilon), the
   * usual linear attention; 'sum' φ(q)·S; 'magnitudeAware' as {@link magnitudeAwareAttention}; 'injective' as
   * {@link injectiveLinearAttention}. Default: 'normalized'.
   */
  form?: LinearFormName | undefined;
  /**
   * Added to z where it divides: finite, from 0 on. Default: 0, and 1e-6 with the form 'magnitudeAware' unless its
   * scale is 'paper'.
   */
  epsilon?: number | undefined;
  /** The scale of the form 'magnitudeAware', see {@link magnitudeAwareAttention}. Default: 'code'. */
  scale?: 'code' | 'paper' | undefined;
}

export const FEATURE_NAMES = ['featureMap', 'featureScale'] as const;
export const FORM_NAMES = ['form', 'epsilon', 'scale'] as const;

/** The checked feature map, as kernels take it. */
export interface Features {
  readonly feature: number;
  readonly featureScale: number;
}

export function featuresOf({ featureMap = 'elu', featureScale = 1 }: FeatureOptions): Features {
  const feature = FEATURE_MAPS.indexOf(oneOf(featureMap, FEATURE_MAPS, 'featureMap'));
  return { feature, featureScale: finite(featureScale, 'featureScale') };
}

/** The checked form, as kernels take it. */
export interface KernelForm {
  readonly form: number;
  readonly scale: number;
  readonly epsilon: number;
}

export function formOf({ form = 'normalized', epsilon, scale }: FormOptions, headDim: number): KernelForm {
  const name = oneOf(form, FORMS, 'form');
  const isPaper = scale !== undefined && oneOf(scale, ['code', 'paper'], 'scale') === 'paper';
  const isMagnitudeAware = name === 'magnitudeAware';
  if (scale !== undefined && !isMagnitudeAware)
    throw wrongValue('no value', `scale beside form '${name}'`, `'${scale}'`);
  const usual = isMagnitudeAware && !isPaper ? 1e-6 : 0;
  return {
    form: isMagnitudeAware && isPaper ? MAGNITUDE_AWARE_PAPER! : CODES[name]!,
    scale: 1 / Math.sqrt(headDim),
    epsilon: epsilon === undefined ? usual : positive(epsilon, 'epsilon', true),
  };
}

export interface LinearAttentionStateOptions extends FeatureOptions {
  /** Sequences. Default: 1. */
  batch?: number | undefined;
  /** Key/value heads. Default: 1. */
  kvHeads?: number | undefined;
  /** Numbers of a query and of a key. */
  headDim: number;
  /** Numbers of a value. Default: headDim. */
  valueDim?: number | undefined;
  /** φ. Default: 'elu', which is elu(x) + 1. */
  featureMap?: FeatureMapName | undefined;
}

export interface LinearQueryOptions<Out extends Float32Array = Float32Array> extends FormOptions {
  /** Query heads, of which heads / kvHeads in a row share a key/value head. Default: kvHeads. */
  heads?: number | undefined;
  /** Where the output goes: an array of its length, apart from q. Default: a new array. */
  out?: Out | undefined;
}

export const STATE_OPTIONS = ['batch', 'kvHeads', 'headDim', 'valueDim', ...FEATURE_NAMES] as const;
export const QUERY_OPTIONS = ['heads', 'out', ...FORM_NAMES] as const;
