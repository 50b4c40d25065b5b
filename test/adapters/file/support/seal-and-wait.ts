/** Seals the log at the path given, reads one record, says so, and does no more. */
import { fileContingency } from '../../../../src/adapters/file/index.js';
import { sealOf } from './log-files.js';

const log = fileContingency({ path: process.argv[2] });
for await (const _ of (await sealOf(log)).read()) break;
process.stdout.write('sealed\n');
setInterval(() => {}, 60_000);
