/**
 * Appends records to the log at the path given and prints the id of each one when it is acknowledged.
 * Arguments: path, name (ids are `<name>-<number>`), number of records, bytes of each, appends at once, further options of the log.
 */
import { fileContingency } from '../../../../src/adapters/file/index.js';
import { added } from './log-files.js';

const [path, name, count, bytes, atOnce, options = '{}'] = process.argv.slice(2);
const log = fileContingency({ path, ...JSON.parse(options) });
const text = 'x'.repeat(Number(bytes));

for (let i = 0; i < Number(count); i += Number(atOnce)) {
  const group = Array.from(
    { length: Math.min(Number(atOnce), Number(count) - i) },
    (_, k) => `${name}-${i + k}`,
  );
  await Promise.all(
    group.map(async (id) => {
      await log.append([added(id, { text })]);
      process.stdout.write(`${id}\n`);
    }),
  );
}
await log.close();
