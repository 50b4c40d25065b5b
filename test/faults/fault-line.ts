import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate } from 'node:timers/promises';

/**
 * The line that every operation on a border of the library (Redis, nsqd, the file system) passes, with a point before
 * and a point after it: `commit/redis.ADVANCE#2/after` is the moment at which the second ADVANCE of the commits of a
 * scenario has been carried out, and the library has not heard of it yet.
 *
 * At most one point is armed. What stands before the slash is the phase: the command of the scenario that has led to the operation. Outside of a
 * phase nothing is counted and nothing happens.
 */
export interface FaultLine {
  /** The points that have been passed, in order: `commit/redis.ADVANCE#2/before`. */
  readonly reached: readonly string[];
  /** Whether the armed point has been reached. */
  readonly struck: boolean;
  /** Undefined: what comes is no part of any phase. */
  phase<T>(name: string | undefined, work: () => T): T;
  pass<T>(operation: Operation<T>): Promise<T>;
  passSync<T>(operation: SyncOperation<T>): T;
  /** Called once, before the first of these operations from now on. The operation waits for it. */
  before(name: string, hook: () => void | Promise<void>): void;
  /** Resolves when such an operation has been reached. */
  arrival(name: string): Promise<void>;
}

export interface Operation<T> {
  /** `redis.ADVANCE` */
  readonly name: string;
  readonly work: () => Promise<T>;
  /** `before`: nothing was done; `after`: it was, but the answer is lost. */
  readonly fault: (edge: Edge) => Error;
  /** Undoes what only the caller could have undone, had the answer not been lost. */
  readonly abandon?: (result: T) => Promise<unknown>;
  /** Does a part of the work, before the process dies in the middle of it. */
  readonly tear?: () => Promise<unknown>;
}

export type SyncOperation<T> = Pick<Operation<T>, 'name' | 'fault'> & { readonly work: () => T };

export type Edge = 'before' | 'after';

/**
 * - `crash`: the process is killed, as by kill -9;
 * - `fail`: the operation fails, see {@link Operation.fault};
 * - `tear`: the process is killed when a part of the operation is done (only before a write).
 */
export type Action = 'crash' | 'fail' | 'tear';

export interface Fault {
  /** `commit/redis.ADVANCE#2` */
  readonly operation: string;
  readonly edge: Edge;
  readonly action: Action;
}

/** `onStrike` is called when the armed point is reached, before anything happens there. */
export function faultLine(fault?: Fault, onStrike?: (fault: Fault) => void): FaultLine {
  const reached: string[] = [];
  const counts = new Map<string, number>();
  const hooks = new Map<string, () => void | Promise<void>>();
  let struck = false;
  const phases = new AsyncLocalStorage<string | undefined>();

  function arrive(name: string): string | undefined {
    const phase = phases.getStore();
    if (phase === undefined) return undefined;
    const key = `${phase}/${name}`;
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    return `${key}#${count}`;
  }

  function actionAt(operation: string, edge: Edge): Action | undefined {
    reached.push(`${operation}/${edge}`);
    if (fault?.operation !== operation || fault.edge !== edge) return undefined;
    struck = true;
    onStrike?.(fault);
    if (fault.action === 'crash') die();
    return fault.action;
  }

  return {
    reached,
    get struck() {
      return struck;
    },

    phase: (name, work) => phases.run(name, work),

    async pass({ name, work, fault: failure, abandon, tear }) {
      const operation = arrive(name);
      if (operation === undefined) return work();
      const hook = hooks.get(name);
      hooks.delete(name);
      if (hook !== undefined) await hook();
      const first = actionAt(operation, 'before');
      if (first === 'fail') throw failure('before');
      if (first === 'tear') {
        await tear?.();
        die();
      }
      const result = await work();
      if (actionAt(operation, 'after') !== 'fail') return result;
      await abandon?.(result);
      throw failure('after');
    },

    passSync({ name, work, fault: failure }) {
      const operation = arrive(name);
      if (operation === undefined) return work();
      if (actionAt(operation, 'before') === 'fail') throw failure('before');
      const result = work();
      if (actionAt(operation, 'after') === 'fail') throw failure('after');
      return result;
    },

    before(name, hook) {
      hooks.set(name, hook);
    },

    async arrival(name) {
      while (!reached.some((operation) => operation.includes(`/${name}#`))) await setImmediate();
    },
  };
}

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  // Not reached: a process that kills itself is gone before the call returns.
  throw new Error('killed');
}
