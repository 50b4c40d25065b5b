/**
 * Appends records of random sizes, up to three at once in appends of up to three, until it is killed, and prints the
 * ids of each append when it is acknowledged. Arguments: path, name, seed.
 */
import { fileContingency } from '../../../../src/adapters/file/index.js';
import { randomFrom } from '../../../support/random.js';
import { sizedRecord } from './sized-records.js';

const [path, name, seed] = process.argv.slice(2);
const log = fileContingency({ path });
const random = randomFrom(Number(seed));
let number = 0;

for (;;) {
  const appends = Array.from({ length: 1 + Math.floor(random() * 3) }, () =>
    Array.from({ length: 1 + Math.floor(random() * 3) }, () => `${name}-${number++}`),
  );
  await Promise.all(
    appends.map(async (ids) => {
      await log.append(ids.map(sizedRecord));
      process.stdout.write(`${ids.join('\n')}\n`);
    }),
  );
}
