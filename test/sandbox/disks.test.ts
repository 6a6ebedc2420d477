import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readdir, readFile, rm, stat, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDisks, type Disks } from '../../src/sandbox/index.ts';
import { codeOf, silentLogger } from '../../src/util/index.ts';
import { MIB, rejection } from './conformance.ts';

const test = suite('sandbox: disks of their own');

const UID = 1_234_567_890;
const mounts = async (dir: string) =>
  (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter(line => line.includes(dir));
const loops = async (dir: string) =>
  (await promisify(execFile)('losetup', ['--all', '--noheadings', '--output', 'BACK-FILE'])).stdout
    .split('\n')
    .filter(line => line.includes(dir));

/** Started disks in a folder of their own; afterwards no mount, loop device or file is left of them. */
async function withDisks(
  body: (disks: Disks, dir: string) => Promise<void>,
  init: Partial<Parameters<typeof createDisks>[1]> = {},
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'dux-disks-'));
  const dir = join(folder, 'disks');
  const disks = createDisks({ logger: silentLogger }, { dir, reserveBytes: 0, ...init });
  await disks.start();
  try {
    assert.is(disks.reason, null, 'the tests need root and loop devices');
    await body(disks, dir);
  } finally {
    await disks.stop();
    assert.equal(await mounts(folder), []);
    assert.equal(await loops(folder), []);
    assert.equal(await readdir(folder), []);
    await rm(folder, { recursive: true });
  }
}

test('a disk is of its size, empty, its user’s alone, and can hold no setuid program and no device', () =>
  withDisks(async (disks, dir) => {
    const disk = await disks.open(UID, 64 * MIB);
    const facts = await stat(disk.path);
    assert.equal([facts.uid, facts.gid, facts.mode & 0o7777], [UID, UID, 0o700]);
    assert.equal(await readdir(disk.path), []);
    const [mount = ''] = await mounts(disk.path);
    for (const option of ['nosuid', 'nodev', 'noatime']) assert.match(mount, option);
    const file = await open(join(disk.path, 'full'), 'w');
    const piece = Buffer.alloc(MIB, 1);
    let written = 0;
    const full = await rejection(
      (async () => {
        for (; written < 80; written++) await file.write(piece);
      })(),
    );
    await file.close();
    assert.is(codeOf(full), 'ENOSPC');
    assert.ok(written >= 64 && written < 68, `${written} MiB of 64`);
    await disk.close();
    await disk.close();
    assert.equal(await mounts(dir), []);
    assert.equal(await loops(dir), []);
    assert.equal(await readdir(dir), []);
  }));

test('a large disk takes no room until it is written', () =>
  withDisks(async (disks, dir) => {
    const { bavail, bsize } = await statfs(dir);
    const bytes = Math.floor((bavail * bsize) / 2 / 4096) * 4096;
    const disk = await disks.open(UID, bytes);
    assert.ok((await stat(`${disk.path}.img`)).blocks * 512 < 32 * MIB);
    const { size } = await stat(`${disk.path}.img`);
    assert.ok(size > bytes && size < bytes * 1.05, `${size} for ${bytes}`);
    // what it may still take is spoken for
    const error = await rejection(disks.open(UID, bytes + 64 * MIB));
    assert.is(codeOf(error), 'SANDBOX_FAILED');
    assert.match((error as Error).message, /no room/);
    await disk.close();
    await (await disks.open(UID, bytes)).close();
  }));

test('their number is bounded, and what could not be made leaves nothing', () =>
  withDisks(
    async (disks, dir) => {
      const [first, second] = await Promise.all([disks.open(UID, 8 * MIB), disks.open(UID, 8 * MIB)]);
      assert.match(((await rejection(disks.open(UID, 8 * MIB))) as Error).message, /2 tasks have disks/);
      await first.close();
      // more than there is
      assert.is(codeOf(await rejection(disks.open(UID, 2 ** 50))), 'SANDBOX_FAILED');
      assert.equal((await readdir(dir)).length, 2);
      const third = await disks.open(UID, 8 * MIB);
      await second.close();
      await third.close();
    },
    { maxDisks: 2 },
  ));

test('what a killed run left is unmounted and removed at the next start', () =>
  withDisks(async (disks, dir) => {
    const left = join(dir, '..', 'left over'); // a space is written as an escape in the table of mounts
    const script = `
      import { createDisks } from '${new URL('../../src/sandbox/disks.ts', import.meta.url).href}';
      import { silentLogger } from '${new URL('../../src/util/index.ts', import.meta.url).href}';
      const disks = createDisks({ logger: silentLogger }, { dir: ${JSON.stringify(left)}, reserveBytes: 0 });
      await disks.start();
      await disks.open(${UID}, ${8 * MIB});
      await disks.open(${UID}, ${8 * MIB});
      console.log('open');
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'close');
    assert.is((await readdir(left)).length, 4);
    assert.is((await loops(left)).length, 2);
    const next = createDisks({ logger: silentLogger }, { dir: left, reserveBytes: 0 });
    await next.start();
    assert.is(next.reason, null);
    assert.equal(await readdir(left), []);
    assert.equal(await loops(left), []);
    await next.stop();
    await (await disks.open(UID, 8 * MIB)).close();
  }));

test('whoever may not mount is told so, and has none', async () => {
  const script = `
    import { createDisks } from '${new URL('../../src/sandbox/disks.ts', import.meta.url).href}';
    const disks = createDisks({ logger: { warn() {} } }, { dir: process.argv[1] });
    await disks.start();
    console.log(disks.reason);`;
  const folder = await mkdtemp(join(tmpdir(), 'dux-disks-'));
  try {
    await promisify(execFile)('chown', [String(UID), folder]);
    const args = [
      '--import',
      import.meta.resolve('tsx'),
      '--input-type=module',
      '-e',
      script,
      join(folder, 'disks'),
    ];
    const { stdout } = await promisify(execFile)(process.execPath, args, { uid: UID, gid: UID });
    assert.is(stdout, 'only root may mount\n');
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.run();
