/** The result of the work, or a rejection after `ms` milliseconds; the work then goes on, but its result is ignored. */
export async function within<T>(
  ms: number,
  work: Promise<T>,
  late = `no answer within ${ms} ms`,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(late)), ms);
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
