/** Does the work for every item, one after the other, whatever becomes of one; then throws the first failure. */
export async function oneByOne<T>(items: Iterable<T>, work: (item: T) => unknown): Promise<void> {
  const failures: unknown[] = [];
  for (const item of items) {
    try {
      await work(item);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
