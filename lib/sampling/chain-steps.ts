/** The steps of a call whose filters are not the kernel's, or have another order: a selection, then row after row. */
import type { Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import { candidatesOf } from './candidates.js';
import { ChainRows } from './chain-rows.js';
import type { Plan } from './sample-plan.js';

/** Logits between two turns of the event loop. */
const SLICE = 2 ** 17;

/** Filters all rows and draws from them. In a promise the plan's arrays are private. */
export function* chainSteps(form: Form, plan: Plan): Steps<void> {
  const { call, filters, drawsOf, uniforms } = plan;
  const candidates = yield* candidatesOf(plan);
  const rows = new ChainRows(call, filters, candidates);
  for (let r = 0, work = 0; r < call.rows; r++) {
    rows.run(r, uniforms, drawsOf(r), plan);
    work += candidates?.k ?? call.cols;
    if (form === 'now' || work < SLICE) continue;
    work = 0;
    yield undefined;
  }
}
