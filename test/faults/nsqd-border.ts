import { Writer } from 'nsqjs';
import type { FaultLine } from './fault-line.js';

export interface NsqdBorder {
  /** The line that connections made from now on belong to. */
  line: FaultLine | undefined;
  /** While true, nsqd refuses connections; those there are break at the next publish. */
  down: boolean;
}

/** What the library uses of a connection of nsqjs: a callback for each command, and then the command. */
interface NsqjsConnection {
  readonly messageCallbacks: ((error?: unknown) => void)[];
  write(command: Buffer): void;
}

/**
 * Puts a line round what nsqjs does for the library: `connect`, whose answer is the event `ready`, and the writing of a
 * PUB or MPUB, whose answer is its callback. A connection that has failed here is broken: nothing passes it any more.
 */
export function nsqdBorder(): NsqdBorder {
  const border: NsqdBorder = { line: undefined, down: false };
  const { connect } = Writer.prototype;
  const broken = new WeakSet<Writer>();

  function lose(writer: Writer, error: Error): void {
    broken.add(writer);
    setImmediate(() => writer.emit('error', error));
  }

  Writer.prototype.connect = function (this: Writer) {
    const { line } = border;
    if (line === undefined) return connect.call(this);
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
            watch(this, (this as unknown as { conn: NsqjsConnection }).conn, line);
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

  function watch(writer: Writer, connection: NsqjsConnection, line: FaultLine): void {
    const write = connection.write.bind(connection);
    /** Resolves when everything has been handed over that was to be. */
    let handedOver = Promise.resolve();

    connection.write = (command) => {
      if (!/^M?PUB /.test(command.toString('latin1', 0, 5))) return write(command);
      if (broken.has(writer)) return;
      if (border.down) return lose(writer, errno('ECONNRESET'));
      const callbacks = connection.messageCallbacks;
      const answered = callbacks.at(-1);
      const before = handedOver;
      let done = () => {};
      handedOver = new Promise((resolve) => {
        done = resolve;
      });
      const answer = new Promise<unknown>((resolve) => {
        callbacks[callbacks.length - 1] = resolve;
      });
      line
        .pass({
          name: 'nsqd.publish',
          work: async () => {
            await before;
            if (!broken.has(writer)) write(command);
            done();
            return answer;
          },
          fault: () => {
            // At once: nothing that is handed over behind it may get through, and no later answer count for it.
            broken.add(writer);
            return errno('ECONNRESET');
          },
        })
        .then(
          (error) => {
            if (!broken.has(writer)) answered?.(error);
          },
          (error) => lose(writer, error),
        );
    };
  }

  return border;
}

function errno(code: 'ECONNREFUSED' | 'ECONNRESET'): Error {
  return Object.assign(new Error(`${code} (injected)`), { code });
}
