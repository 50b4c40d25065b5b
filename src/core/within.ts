/** Rejects after so many milliseconds. What was started goes on, and is no longer listened to. */
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
