import { setTimeout as sleep } from 'node:timers/promises';
import { isEventSessionsError } from 'event-sessions';
import type { Service } from './ports.js';
import type { RecordedCommands } from './recording.js';
import { COMMIT } from './settings.js';

const PAUSE_MS = 100;
/**
 * Passes in a row that must find nothing. They outlast the lease of one who has closed in the middle of a commit: until
 * then nobody may go on with it, and a pass before finds nothing to do.
 */
const QUIET_PASSES = COMMIT.leaseMs / PAUSE_MS + 3;

/** Recovers until nothing is left to recover. What is left after that time is for the checker to complain about. */
export async function closeLogs({ recover, contingency }: Service, withinMs: number): Promise<void> {
  const deadline = Date.now() + withinMs;
  for (let quiet = 0; quiet < QUIET_PASSES && Date.now() < deadline; ) {
    const report = await recover().catch(() => undefined);
    const { records } = await contingency.backlog();
    quiet = report?.complete && report.remaining === 0 && records === 0 ? quiet + 1 : 0;
    await sleep(PAUSE_MS);
  }
}

/** Commits every second one and rolls the others back, until each has ended. */
export async function endSessions(
  service: Service,
  commands: RecordedCommands,
  sessionIds: readonly string[],
): Promise<void> {
  for (const [i, sessionId] of sessionIds.entries()) {
    for (let attempt = 0; attempt < 50; attempt += 1) {
      try {
        const end = i % 2 === 0 ? commands.commit : commands.rollback;
        if ((await end(sessionId)).status !== 'committing') break;
      } catch (error) {
        if (!isEventSessionsError(error, 'COMMIT_IN_PROGRESS')) break;
      }
      await service.recover().catch(() => {});
      await sleep(100);
    }
  }
}
