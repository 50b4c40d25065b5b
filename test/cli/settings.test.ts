import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { resolveSettings } from '../../src/cli/settings.js';
import { inFolder, withConfig } from './support/run-main.js';

const usageError = (message: unknown) => expect.objectContaining({ name: 'UsageError', message });
const STORE = `{ get() {}, list() {}, due() {}, ping() {}, close() {} }`;

describe('settings', () => {
  test('have defaults', async () => {
    await inFolder(async (folder) => {
      expect(await resolveSettings({}, {}, folder)).toEqual({
        redis: undefined,
        prefix: 'event-sessions',
        nsqd: [],
        nsqdHttp: [],
        codec: undefined,
        maxMessageBytes: 1_048_576,
        maxRequestBytes: 5_242_880,
        file: join(folder, 'contingency-log.jsonl'),
        maxBytes: 1_073_741_824,
        adapters: { store: undefined, publisher: undefined, contingency: undefined },
        options: {},
        configPath: undefined,
      });
    });
  });

  test('the contingency log is the file behind a symbolic link', async () => {
    await inFolder(async (folder) => {
      await symlink('shared.jsonl', join(folder, 'link.jsonl'));
      expect(await resolveSettings({ file: 'link.jsonl' }, {}, folder)).toMatchObject({
        file: join(folder, 'shared.jsonl'),
      });
    });
  });

  test('a flag counts before a variable, a variable before the config file', async () => {
    const config = `export default { redis: 'redis://config', prefix: 'config', nsqd: ['config:1'], codec: 'json', maxBytes: 5 }`;
    await withConfig(config, async (folder) => {
      const env = {
        EVENT_SESSIONS_REDIS: 'redis://env',
        EVENT_SESSIONS_NSQD: 'env:1, env:2',
        EVENT_SESSIONS_PREFIX: '',
        EVENT_SESSIONS_MAX_BYTES: '2KiB',
      };
      expect(await resolveSettings({ redis: 'redis://flag' }, env, folder)).toMatchObject({
        redis: 'redis://flag',
        prefix: 'config',
        nsqd: ['env:1', 'env:2'],
        codec: 'json',
        maxBytes: 2_048,
      });
    });
  });

  test('everything wrong is named at once, with the place where it was said', async () => {
    await withConfig(`export default { nsqd: 'nowhere', maxBytes: -1 }`, async (folder, path) => {
      const settings = resolveSettings({ redis: 'http://a' }, { EVENT_SESSIONS_CODEC: 'xml' }, folder);
      await expect(settings).rejects.toThrow(
        usageError(
          [
            '--redis: expected a redis:// or rediss:// URL, as redis://[user:password@]host[:port][/db], got "http://a"',
            `${path}: nsqd: expected an address host:port (IPv6 as '[::1]:4150'), got "nowhere"`,
            'EVENT_SESSIONS_CODEC: expected cloudevents or json, got "xml"',
            `${path}: maxBytes: expected a number of bytes, such as 1048576, 512KiB or 1GiB, got -1`,
          ].join('\n'),
        ),
      );
    });
  });

  test('a path is relative to where it was said', async () => {
    await inFolder(async (folder) => {
      const path = join(folder, 'deep.mjs');
      await writeFile(path, `export default { file: 'log/a.jsonl' }`);
      expect(await resolveSettings({ config: path }, {}, '/elsewhere')).toMatchObject({
        file: join(folder, 'log/a.jsonl'),
      });
      expect(await resolveSettings({ config: path, file: 'b.jsonl' }, {}, '/elsewhere')).toMatchObject({
        file: '/elsewhere/b.jsonl',
      });
      expect(await resolveSettings({}, { EVENT_SESSIONS_CONFIG: path }, '/elsewhere')).toMatchObject({
        configPath: path,
      });
    });
  });
});

describe('the config file', () => {
  test('may export a function, adapters, and the options of createEventSessions', async () => {
    await withConfig(
      `export default async () => ({ store: ${STORE}, retention: 5, prefix: 'p' })`,
      async (folder) => {
        const settings = await resolveSettings({}, {}, folder);
        expect(settings).toMatchObject({ prefix: 'p', options: { retention: 5 } });
        expect(settings.adapters.store).toHaveProperty('due');
      },
    );
  });

  test('a flag or a variable takes the place of its adapter, a setting of its own goes beside it', async () => {
    const log = `{ append() {}, seal() {}, backlog() {}, ping() {}, close() {} }`;
    await withConfig(
      `export default { store: ${STORE}, redis: 'redis://a', contingency: ${log} }`,
      async (folder) => {
        const own = await resolveSettings({}, {}, folder);
        expect(own.adapters.store).toBeDefined();
        expect(own.adapters.contingency).toBeDefined();
        expect(own.file).toBeUndefined();
        const named = await resolveSettings(
          { redis: 'redis://b' },
          { EVENT_SESSIONS_FILE: 'a.jsonl' },
          folder,
        );
        expect(named.adapters).toEqual({ store: undefined, publisher: undefined, contingency: undefined });
        expect(named).toMatchObject({ redis: 'redis://b', file: join(folder, 'a.jsonl') });
      },
    );
  });

  test.each([
    ['export const a = 1', /has no default export/],
    ['export default 5', /expected an object, or a function that returns one, as the default export; got 5/],
    ['export default () => []', /got \[\]/],
    [
      'export default () => { throw new Error("no secret") }',
      /the function that .* exports failed: no secret/,
    ],
    ['export default {', /cannot be loaded: /],
    ['import "not-there"; export default {}', /cannot be loaded: .*not-there/],
    ['export default { rediss: "redis://a" }', /rediss is not a setting \(did you mean redis\?\)/],
    ['export default { store: {} }', /store: expected an adapter such as redisStore\(\), got an object/],
    [
      'export default { contingency: true, colour: 1 }',
      /colour is not a setting; contingency: expected an adapter/,
    ],
    [
      'export default { ttl: "24h", limits: { maxDeph: 1 } }',
      /ttl: expected a whole number .*, got "24h"; limits\.maxDeph: is not an option/,
    ],
  ])('%s', async (source, message) => {
    await withConfig(source, async (folder, path) => {
      const error = await resolveSettings({}, {}, folder).catch((failure) => failure);
      expect(error).toMatchObject({ name: 'UsageError', message: expect.stringMatching(message) });
      expect(error.message).toContain(path);
    });
  });

  test('one that was named must be there', async () => {
    await inFolder(async (folder) => {
      const settings = resolveSettings({ config: 'other.mjs' }, {}, folder);
      await expect(settings).rejects.toThrow(
        usageError(`the config file ${join(folder, 'other.mjs')} does not exist`),
      );
    });
  });
});
