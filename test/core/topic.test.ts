import { expect, test } from 'vitest';
import { isTopic } from '../../src/core/topic.js';

test.each(['a', 'order.placed', 'A_b-9.', 'x'.repeat(64), 'a#ephemeral', `${'x'.repeat(54)}#ephemeral`])(
  '%j is a topic',
  (topic) => expect(isTopic(topic)).toBe(true),
);

test.each([
  '',
  ' ',
  'a b',
  'a\n',
  '\na',
  'a\nb',
  'x'.repeat(65),
  '#ephemeral',
  'a#ephemera',
  'a#ephemeral#ephemeral',
  `${'x'.repeat(55)}#ephemeral`,
  'ä',
  'a/b',
  'a\u0000',
  undefined,
  null,
  5,
  ['a'],
  { toString: () => 'a' },
])('%j is none', (topic) => expect(isTopic(topic)).toBe(false));
