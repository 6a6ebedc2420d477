import { createHash } from 'node:crypto';
import { watch } from 'node:fs';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tar from 'tar-stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { resolveInRoot } from '../../src/sandbox/native/in-root.ts';
import { readSaveFile } from '../../src/sandbox/native/save-file.ts';
import { unpackLayers } from '../../src/sandbox/native/unpack.ts';
import { codeOf } from '../../src/util/index.ts';
import { rejection } from '../sandbox/conformance.ts';
import { imagesDir, withNative } from './support.ts';

const test = suite('native: images');

type Entry = [header: Parameters<tar.Pack['entry']>[0], content?: string];
const LIMITS = { maxImageBytes: 1 << 20, maxImageEntries: 100 };
const ARCHITECTURE = process.arch === 'x64' ? 'amd64' : 'arm64';
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

async function packed(entries: readonly Entry[]): Promise<Buffer> {
  const pack = tar.pack();
  for (const [header, content = ''] of entries) pack.entry(header, content);
  pack.finalize();
  const parts: Buffer[] = [];
  for await (const part of pack) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** The file of an image in the form of `docker save`. */
async function saved(
  layers: readonly Buffer[],
  { tag = 'x:1', diffIds = layers.map(sha256) } = {},
): Promise<Buffer> {
  const config = JSON.stringify({
    architecture: ARCHITECTURE,
    os: 'linux',
    config: { Env: ['A=b'], Volumes: { '/data': {} } },
    rootfs: { type: 'layers', diff_ids: diffIds.map(id => `sha256:${id}`) },
  });
  const names = layers.map((_, at) => `${at}/layer.tar`);
  const manifest = [{ Config: 'config.json', RepoTags: [tag], Layers: names }];
  const pack = tar.pack();
  pack.entry({ name: 'config.json' }, config);
  for (const [at, layer] of layers.entries()) pack.entry({ name: names[at] as string }, layer);
  pack.entry({ name: 'manifest.json' }, JSON.stringify(manifest));
  pack.finalize();
  const parts: Buffer[] = [];
  for await (const part of pack) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'duxnode-native-images-'));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Unpacks layers into `folder`/root, beside which `folder`/outside is a file that must stay as it is. */
async function unpack(
  folder: string,
  layers: readonly (readonly Entry[])[],
  limits = LIMITS,
): Promise<string> {
  const root = join(folder, 'root');
  await rm(root, { recursive: true, force: true });
  await mkdir(root);
  await writeFile(join(folder, 'outside'), 'mine');
  const file = join(folder, 'image.tar');
  await writeFile(file, await saved(await Promise.all(layers.map(packed))));
  const [image] = await readSaveFile(file);
  await unpackLayers(file, image?.layers ?? [], root, limits);
  return root;
}

test('unpacks files, links and folders of layers one over another, with what they remove', () =>
  withFolder(async folder => {
    const root = await unpack(folder, [
      [
        [{ name: './usr/bin/', type: 'directory' }],
        [{ name: 'usr/bin/a', mode: 0o4755 }, 'a'],
        [{ name: 'bin', type: 'symlink', linkname: 'usr/bin' }],
        [{ name: 'gone' }, 'x'],
        [{ name: 'emptied/x' }, 'x'],
        [{ name: 'dev/sda', type: 'block-device', devmajor: 8, devminor: 0 }],
        [{ name: 'pipe', type: 'fifo' }],
        [{ name: 'task', type: 'symlink', linkname: '/etc' }],
      ],
      [
        [{ name: 'bin/b' }, 'b'],
        [{ name: 'hard', type: 'link', linkname: 'bin/a' }],
        [{ name: '.wh.gone' }],
        [{ name: 'emptied/.wh..wh..opq' }],
        [{ name: 'emptied/y' }, 'y'],
      ],
    ]);
    assert.equal((await readdir(join(root, 'usr/bin'))).sort(), ['a', 'b']);
    assert.is((await lstat(join(root, 'usr/bin/a'))).mode & 0o7777, 0o755, 'no set-id bit');
    assert.is(await readFile(join(root, 'hard'), 'utf8'), 'a');
    assert.equal(await readdir(join(root, 'emptied')), ['y']);
    assert.equal(await readdir(join(root, 'dev')), []);
    assert.ok((await lstat(join(root, 'task'))).isDirectory(), 'a mount point is a folder of its own');
    const names = await readdir(root);
    assert.not(names.includes('gone') || names.includes('pipe'));
  }));

const hostile: Record<string, { entries: Entry[]; limits?: typeof LIMITS }> = {
  'a name with ..': { entries: [[{ name: '../outside' }, 'theirs']] },
  'a hard link to a file outside': { entries: [[{ name: 'x', type: 'link', linkname: '../outside' }]] },
  'a hard link to nothing': { entries: [[{ name: 'x', type: 'link', linkname: '/etc/passwd' }]] },
  'a file below a file': {
    entries: [
      [{ name: 'a' }, 'x'],
      [{ name: 'a/b' }, 'x'],
    ],
  },
  'more bytes than are taken': {
    entries: [[{ name: 'a' }, 'x'.repeat(100)]],
    limits: { ...LIMITS, maxImageBytes: 99 },
  },
  'more files than are taken': {
    entries: [[{ name: 'a' }], [{ name: 'b' }]],
    limits: { ...LIMITS, maxImageEntries: 1 },
  },
};

for (const [name, { entries, limits }] of Object.entries(hostile))
  test(`refuses ${name}`, () =>
    withFolder(async folder => {
      assert.is(codeOf(await rejection(unpack(folder, [entries], limits))), 'BAD_IMAGE');
      assert.is(await readFile(join(folder, 'outside'), 'utf8'), 'mine');
    }));

test('a stop in the middle of it ends it, and nothing but it', () =>
  withFolder(async folder => {
    const root = join(folder, 'root');
    await mkdir(root);
    const file = join(folder, 'image.tar');
    const entries = Array.from({ length: 5_000 }, (_, i): Entry => [{ name: `f${i}` }, 'x'.repeat(100)]);
    await writeFile(file, await saved([await packed(entries)]));
    const [image] = await readSaveFile(file);
    const stop = new AbortController();
    const looking = watch(root, () => stop.abort(new Error('stopping')));
    const limits = { ...LIMITS, maxImageEntries: entries.length };
    const error = await rejection(unpackLayers(file, image?.layers ?? [], root, limits, stop));
    looking.close();
    assert.is((error as Error).message, 'stopping');
    assert.ok((await readdir(root)).length < entries.length);
  }));

test('what is written through links stays inside', () =>
  withFolder(async folder => {
    const root = await unpack(folder, [
      [
        [{ name: 'up', type: 'symlink', linkname: '../../../..' }],
        [{ name: 'up/outside' }, 'inside'],
        [{ name: 'abs', type: 'symlink', linkname: folder }],
        [{ name: 'abs/outside' }, 'inside'],
        [{ name: 'target', type: 'symlink', linkname: join(folder, 'outside') }],
        [{ name: 'target' }, 'a file in place of the link'],
        [{ name: '.wh...' }],
      ],
    ]).catch(error => error);
    assert.is(await readFile(join(folder, 'outside'), 'utf8'), 'mine');
    assert.is(codeOf(root), 'BAD_IMAGE', 'the last entry would remove the folder above');
    assert.is(await readFile(join(folder, 'root/outside'), 'utf8'), 'inside');
    assert.is(await readFile(join(folder, 'root', folder, 'outside'), 'utf8'), 'inside');
    assert.ok((await lstat(join(folder, 'root/target'))).isFile());
  }));

test('a path is followed inside of its root, and not for ever', () =>
  withFolder(async folder => {
    await symlink('loop', join(folder, 'loop'));
    await symlink('/etc/passwd', join(folder, 'passwd'));
    assert.is(await resolveInRoot(folder, '/loop'), undefined);
    assert.is(await resolveInRoot(folder, 'passwd'), undefined);
    assert.is(await resolveInRoot(folder, '../../..'), folder);
  }));

test('a damaged image is not used, one whose file is gone is removed, and names go to the newer', () =>
  withFolder(async folder => {
    const layer = await packed([[{ name: 'a' }, 'a']]);
    const imagesDir = join(folder, 'images');
    await mkdir(imagesDir);
    await writeFile(
      join(imagesDir, 'bad.tar'),
      await saved([layer], { tag: 'bad:1', diffIds: ['0'.repeat(64)] }),
    );
    await writeFile(join(imagesDir, 'good.tar'), await saved([layer], { tag: 'good:1' }));
    await writeFile(join(imagesDir, 'none.tar'), 'not a tar file, and not long enough to be one');
    const init = { imagesDir, stateDir: join(folder, 'state') };
    const unpacked = join(folder, 'state/images');
    await withNative(async executor => {
      const error = await rejection(executor.ensureImage('bad:1', {}));
      assert.is(codeOf(error), 'IMAGE_PULL_FAILED');
      assert.match(String(error), /damaged/);
      const image = await executor.ensureImage('docker.io/library/good:1', {});
      assert.is(executor.hasImage(image.digest), true);
      assert.equal(await readdir(unpacked), [image.digest.slice('sha256:'.length)]);
    }, init);
    await rm(join(imagesDir, 'good.tar'));
    await withNative(async executor => {
      assert.is(executor.hasImage('good:1'), false);
      assert.equal(await readdir(unpacked), []);
    }, init);
  }));

test('the digest is the id that Docker gives the same file', async () => {
  const { docker } = await import('../docker/support.ts');
  const names = (await readdir(imagesDir)).filter(name => name.startsWith('python-base'));
  assert.ok(names.length > 0);
  const images = await Promise.all(names.map(name => readSaveFile(join(imagesDir, name))));
  const { Id } = await docker.getImage('python:3.9-slim').inspect();
  const ours = images.flat().map(({ digest }) => digest);
  assert.ok(ours.includes(Id), `${Id} is none of ${ours}`);
});

test.run();
