import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type FileContingencyOptions, fileContingency } from 'event-sessions/file';
import { dataOfSize, envelope, eventId } from '../by-hand/envelope.js';
import { type GroupCommit, groupCommit } from '../by-hand/group-commit.js';
import type { Bench } from '../harness/bench.js';
import { compare, type Side } from '../harness/compare.js';

const GOAL = 0.9;

/** Appends to the contingency log, synced before they are acknowledged, on the disk of the temporary folder. */
export const contingencyAppends: Bench = {
  name: 'contingency-appends',
  about: '1, 100 and 1,000 synced appends at once, against a group commit by hand on the same disk',
  inCheck: false,
  async run(context) {
    const { quick, sizes, folder, report } = context;
    for (const atOnce of [1, 100, 1_000]) {
      for (const eventBytes of sizes) {
        const data = await dataOfSize(eventBytes);
        const events = Array.from({ length: 1_000 }, () => envelope(eventId(), 'bench', data));
        const wanted = Math.max(500, atOnce * 50);
        const times = Math.ceil(
          Math.min(quick ? wanted / 10 : wanted, (64 * 1_048_576) / eventBytes) / atOnce,
        );
        const repeated = async (append: (event: string) => Promise<unknown>) => {
          for (let time = 0; time < times; time += 1) {
            const appends = [];
            for (let i = 0; i < atOnce; i += 1) appends.push(append(events[i] as string));
            await Promise.all(appends);
          }
          return times * atOnce;
        };
        const verify = async (path: string) => {
          const { size } = await stat(path);
          if (size < times * atOnce * eventBytes) throw new Error(`only ${size} bytes are on disk`);
          await rm(path);
        };

        const ourPath = join(folder, 'ours.jsonl');
        const options: FileContingencyOptions = { path: ourPath, maxBytes: 2 ** 40 };
        let log = fileContingency(options);
        const ours: Side = {
          name: 'fileContingency append',
          prepare: async () => {
            log = fileContingency(options);
          },
          run: () =>
            repeated((event) =>
              log.append([
                { kind: 'event.added', sessionId: 'bench', at: Date.now(), topic: 'bench', event },
              ]),
            ),
          async verify() {
            await log.close();
            await verify(ourPath);
          },
        };

        const theirPath = join(folder, 'theirs.jsonl');
        let byHand: GroupCommit | undefined;
        const theirs: Side = {
          name: 'group commit by hand',
          prepare: async () => {
            byHand = await groupCommit(theirPath);
          },
          run: () =>
            repeated((event) =>
              (byHand as GroupCommit).append(
                `{"v":1,"kind":"event.added","sessionId":"bench","at":${Date.now()},"topic":"bench","event":${event}}\n`,
              ),
            ),
          async verify() {
            await byHand?.close();
            await verify(theirPath);
          },
        };
        const title = `contingency appends, ${atOnce.toLocaleString('en')} at once`;
        report(
          await compare(
            { bench: 'contingency-appends', title, eventBytes, goal: GOAL, ours, theirs },
            context,
          ),
        );
      }
    }
  },
};
