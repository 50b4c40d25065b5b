/** All scripts, for whoever looks at each of them. */
export * from './append-scripts.js';
export * from './index-scripts.js';
export * from './session-scripts.js';
