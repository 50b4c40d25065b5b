import { outageScenarios } from './outages.js';
import { recoveryScenarios } from './recoveries.js';
import { sessionScenarios } from './sessions.js';

export const scenarios = [...sessionScenarios, ...outageScenarios, ...recoveryScenarios];
