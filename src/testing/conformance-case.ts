/** A rule of a port, as a test for any runner. It passes if `run` resolves. */
export interface ConformanceCase {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/** Checks a subject of its own, which is closed and disposed of whatever comes out. */
export async function runOn<S extends { readonly dispose?: (() => Promise<void>) | undefined }>(
  make: () => Promise<S>,
  portOf: (subject: S) => { close(): Promise<void> },
  check: (subject: S) => Promise<void>,
): Promise<void> {
  const subject = await make();
  try {
    await check(subject);
  } finally {
    await portOf(subject).close();
    await subject.dispose?.();
  }
}

/**
 * Repeats the check until it stops throwing: for what happens when time has passed. Gives up after 5 s.
 *
 * An `assert.ok` in it needs a message: without one, Node parses the source file to make one up, each time.
 */
export async function eventually(check: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + 5_000;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}
