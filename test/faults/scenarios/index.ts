import { outageScenarios } from './outages.js';
import { recoveryScenarios } from './recoveries.js';
import { sessionScenarios } from './sessions.js';

/** Those first whose recoveries have the most to do. */
export const scenarios = [...recoveryScenarios, ...sessionScenarios, ...outageScenarios];
