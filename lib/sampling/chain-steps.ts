/** The steps of a call whose filters are not the kernel's, or have another order: a selection, then row after row. */
import type { Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import { topCall } from '../selection/top-call.js';
import { candidatesOf, ChainRows } from './chain-rows.js';
import type { Plan } from './sample-plan.js';

/** Logits between two turns of the event loop. */
const SLICE = 2 ** 17;

/** Filters all rows and draws from them. In a promise the plan's arrays are private. */
export function* chainSteps(form: Form, plan: Plan): Steps<void> {
  const { call, filters, drawsOf, uniforms } = plan;
  const k = candidatesOf(filters, call);
  const indices = new Uint32Array(k === undefined ? 0 : call.rows * k);
  if (k !== undefined && call.rows > 0) yield topCall(call, k, { indices });
  const rows = new ChainRows(call, filters, k === undefined ? undefined : { indices, k });
  for (let r = 0, work = 0; r < call.rows; r++) {
    rows.run(r, uniforms, drawsOf(r), plan);
    work += k ?? call.cols;
    if (form === 'now' || work < SLICE) continue;
    work = 0;
    yield undefined;
  }
}
