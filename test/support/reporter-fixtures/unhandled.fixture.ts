import { it } from 'vitest';

it('passes, and leaves a rejection behind', async () => {
  void Promise.reject(new Error('loose'));
  await new Promise((resolve) => setTimeout(resolve, 20));
});
