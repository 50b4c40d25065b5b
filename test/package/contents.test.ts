import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { describe, expect, inject, it } from 'vitest';

const { root, files } = inject('packed');
const dist = join(root, 'dist');

describe('the tarball', () => {
  it('holds the build, the docs, the examples, the papers and nothing else', () => {
    const papers = ['CHANGELOG.md', 'LICENSE', 'README.md', 'THIRD-PARTY-NOTICES.md', 'package.json'];
    const rest = files.filter((file) => !/^(dist|docs|examples)\//.test(file));
    expect(rest.sort()).toEqual(papers);
    const kinds = files.filter((file) => /^(docs|examples)\//.test(file)).map((file) => extname(file));
    expect([...new Set(kinds)].sort()).toEqual(['.json', '.md', '.svg', '.ts', '.yml']);
  });

  it('holds what the README links to', async () => {
    const readme = await readFile(join(root, 'README.md'), 'utf8');
    const targets = [...readme.matchAll(/\]\((?!https?:)([^)\s#]+)/g)].map(([, target = '']) => target);
    expect(targets.length).toBeGreaterThan(10);
    expect(
      targets.filter((target) => !files.some((file) => file === target || file.startsWith(`${target}/`))),
    ).toEqual([]);
  });

  it('holds every file that package.json points to', async () => {
    const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    const { main, module, types, exports, typesVersions, bin } = manifest;
    const pointedTo = strings({ main, module, types, exports, typesVersions, bin });
    expect(pointedTo.length).toBeGreaterThan(20);
    expect(pointedTo.filter((path) => !files.includes(path.replace(/^\.\//, '')))).toEqual([]);
  });

  it('names in THIRD-PARTY-NOTICES.md every package whose code or types are bundled, and no other', async () => {
    const notices = await readFile(join(root, 'THIRD-PARTY-NOTICES.md'), 'utf8');
    const listed = [...notices.matchAll(/^## (.+)$/gm)].map(([, name]) => name);
    const bundled = new Set<string | undefined>();
    for (const text of await textsOf('.map')) {
      const { sources } = JSON.parse(text) as { sources: string[] };
      for (const source of sources) {
        const [, name] = /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules\/)/.exec(source) ?? [];
        if (name !== undefined) bundled.add(name);
      }
    }
    // Declarations have no maps; this is the only package tsup is told to inline there.
    if ((await textsOf('.d.ts')).some((text) => text.includes('interface StandardSchemaV1')))
      bundled.add('@standard-schema/spec');
    expect([...bundled].sort()).toEqual(listed.sort());
  });

  it('has declarations that need only peers', async () => {
    const texts = [...(await textsOf('.d.ts')), ...(await textsOf('.d.cts'))];
    const imports = texts.flatMap((text) => [...text.matchAll(/(?:from|import\()\s*['"]([^'"]+)['"]/g)]);
    const foreign = new Set(
      imports.map(([, name]) => name).filter((name) => !/^(\.|node:)/.test(name ?? '')),
    );
    const known = ['fastify', 'ioredis', 'nsqjs', 'prom-client', '@opentelemetry/api'];
    expect(known).toEqual(expect.arrayContaining([...foreign]));
  });
});

async function textsOf(extension: string): Promise<string[]> {
  const names = (await readdir(dist)).filter((name) => name.endsWith(extension));
  return Promise.all(names.map((name) => readFile(join(dist, name), 'utf8')));
}

/** All strings anywhere in `value`. */
function strings(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(strings) : [];
}
