import { Writer } from 'nsqjs';
import type { FaultLine } from './fault-line.js';

export interface NsqdBorder {
  /** The line that connections made from now on belong to. */
  line: FaultLine | undefined;
  /** While true, nsqd refuses connections; those there are break at the next publish. */
  down: boolean;
}

type Publish = typeof Writer.prototype.publish;

/**
 * Puts a line round what nsqjs does for the library: `connect`, whose answer is the event `ready`, and `publish`,
 * whose answer is its callback. A connection that has failed here is broken: nothing passes it any more.
 */
export function nsqdBorder(): NsqdBorder {
  const border: NsqdBorder = { line: undefined, down: false };
  const { connect, publish } = Writer.prototype;
  const lines = new WeakMap<Writer, FaultLine>();
  const broken = new WeakSet<Writer>();
  /** By connection: resolves when everything has been handed over that was to be. */
  const handedOver = new WeakMap<Writer, Promise<void>>();

  function lose(writer: Writer, error: Error): void {
    broken.add(writer);
    setImmediate(() => writer.emit('error', error));
  }

  Writer.prototype.connect = function (this: Writer) {
    const { line } = border;
    if (line === undefined) return connect.call(this);
    lines.set(this, line);
    const emit = this.emit.bind(this);
    line
      .pass({
        name: 'nsqd.connect',
        work: () =>
          new Promise<void>((resolve, reject) => {
            if (border.down) return reject(errno('ECONNREFUSED'));
            this.emit = (event, ...args) => {
              if (event === 'ready') resolve();
              else if (event === 'error') reject(args[0]);
              else return emit(event, ...args);
              return true;
            };
            connect.call(this);
          }),
        fault: (edge) => errno(edge === 'before' ? 'ECONNREFUSED' : 'ECONNRESET'),
      })
      .then(
        () => {
          this.emit = emit;
          emit('ready');
        },
        (error) => {
          this.emit = emit;
          lose(this, error);
        },
      );
  };

  Writer.prototype.publish = function (this: Writer, ...[topic, bodies, callback]: Parameters<Publish>) {
    const line = lines.get(this);
    if (line === undefined) return publish.call(this, topic, bodies, callback);
    if (broken.has(this)) return;
    if (border.down) return lose(this, errno('ECONNRESET'));
    const before = handedOver.get(this);
    let done = () => {};
    handedOver.set(
      this,
      new Promise((resolve) => {
        done = resolve;
      }),
    );
    line
      .pass({
        name: 'nsqd.publish',
        work: async () => {
          await before;
          return new Promise<Error | undefined>((resolve) => {
            if (broken.has(this)) return;
            publish.call(this, topic, bodies, resolve);
            done();
          });
        },
        fault: () => {
          // At once: nothing that is handed over behind it may get through, and no later answer count for it.
          broken.add(this);
          return errno('ECONNRESET');
        },
      })
      .then(
        (error) => {
          if (!broken.has(this)) callback?.(error);
        },
        (error) => lose(this, error),
      );
  };

  return border;
}

function errno(code: 'ECONNREFUSED' | 'ECONNRESET'): Error {
  return Object.assign(new Error(`${code} (injected)`), { code });
}
