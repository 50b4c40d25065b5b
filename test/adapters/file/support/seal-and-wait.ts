/** Seals the log at the path given, reads one record, says so, and does no more. */
import { fileContingency } from '../../../../src/adapters/file/index.js';

const log = fileContingency({ path: process.argv[2] });
const sealed = await log.seal();
for await (const _ of sealed?.read() ?? []) break;
process.stdout.write('sealed\n');
setInterval(() => {}, 60_000);
