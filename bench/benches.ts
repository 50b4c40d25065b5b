import type { Bench } from './harness/bench.js';
import { addConcurrent } from './work/add-concurrent.js';
import { addMany } from './work/add-many.js';
import { addOne } from './work/add-one.js';
import { commit } from './work/commit.js';
import { contingencyAppends } from './work/contingency-appends.js';
import { http } from './work/http.js';
import { latency } from './work/latency.js';
import { memory } from './work/memory.js';
import { memoryAdapters } from './work/memory-adapters.js';
import { observing } from './work/observing.js';
import { outage } from './work/outage.js';
import { recovery } from './work/recovery.js';
import { scale } from './work/scale.js';
import { startUp } from './work/start-up.js';

export const benches: readonly Bench[] = [
  addOne,
  addConcurrent,
  addMany,
  commit,
  memoryAdapters,
  observing,
  http,
  contingencyAppends,
  recovery,
  outage,
  memory,
  scale,
  startUp,
  latency,
];
