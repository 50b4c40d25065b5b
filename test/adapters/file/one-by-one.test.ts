import { expect, test } from 'vitest';
import { oneByOne } from '../../../src/adapters/file/one-by-one.js';

test('the work is done for every item, one at a time, whatever fails, and the first failure is told', async () => {
  const happened: string[] = [];
  const work = async (item: string) => {
    happened.push(`${item} begins`);
    await new Promise((resolve) => setImmediate(resolve));
    happened.push(`${item} ends`);
    if (item !== 'c') throw new Error(item);
  };
  await expect(oneByOne(['a', 'b', 'c'], work)).rejects.toThrow('a');
  expect(happened).toEqual(['a', 'b', 'c'].flatMap((item) => [`${item} begins`, `${item} ends`]));
  await expect(oneByOne([], work)).resolves.toBeUndefined();
});

test('work that throws at once counts as failed work', async () => {
  const done: number[] = [];
  const work = (item: number) => {
    if (item === 1) throw new Error('at once');
    done.push(item);
  };
  await expect(oneByOne([1, 2], work)).rejects.toThrow('at once');
  expect(done).toEqual([2]);
});
