/**
 * A process with a log at the path given that does what it reads, a JSON array a line, and answers each with a line:
 * `["append", id, bytes]`, `["recover"]`, `["settle"]` (the first record of a sealed part, held on to), `["become", uid]`, `["use up descriptors"]`, `["give back descriptors"]`.
 */
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileContingency } from '../../../../src/adapters/file/index.js';
import { added, entriesOf, placesOf, sealOf } from './log-files.js';

const log = fileContingency({ path: process.argv[2] });
let descriptors: number[] = [];

async function obey([order, id, bytes]: [string, string, number]): Promise<unknown> {
  if (order === 'become') {
    process.setgroups?.([]);
    process.setgid?.(Number(id));
    process.setuid?.(Number(id));
    return process.getuid?.();
  }
  if (order === 'append') return log.append([added(id, { text: 'x'.repeat(bytes ?? 0) })]);
  if (order === 'recover') return (await entriesOf(log)).length;
  if (order === 'settle') {
    const sealed = await sealOf(log);
    return sealed.settle((await placesOf(sealed)).slice(0, 1));
  }
  if (order === 'give back descriptors') {
    for (const descriptor of descriptors) closeSync(descriptor);
    descriptors = [];
    return undefined;
  }
  if (order !== 'use up descriptors') throw new Error(`unknown order ${order}`);
  try {
    for (;;) descriptors.push(openSync('/dev/null', 'r'));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}

const answer = (value: object) => process.stdout.write(`${JSON.stringify(value)}\n`);

answer({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  await obey(JSON.parse(line)).then(
    (result) => answer({ result }),
    (error) => answer({ code: error.code, message: error.message }),
  );
}
await log.close();
