/** What the portable build has instead of profile.ts: no profile, as that is a file about the addon. */
import type * as node from './profile.js';

export const readProfile: typeof node.readProfile = () => ({});
