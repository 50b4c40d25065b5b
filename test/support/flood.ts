import type { Socket } from 'node:net';

/** Writes the same again and again, as fast as the other side takes it and up to a GiB. */
export function flood(socket: Socket, again: Buffer, onSent: (bytes: number) => void): void {
  let sent = 0;
  const write = () => {
    while (!socket.destroyed && sent < 1024 ** 3) {
      sent += again.length;
      onSent(again.length);
      if (!socket.write(again)) return;
    }
  };
  socket.on('drain', write);
  write();
}
