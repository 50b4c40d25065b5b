/** Appends, seals and appends again to the log at the path given, and then has nothing more to do. */
import { fileContingency } from '../../../../src/adapters/file/index.js';
import { added } from './log-files.js';

const log = fileContingency({ path: process.argv[2] });
await log.append([added('0')]);
await log.seal();
await log.append([added('1')]);
