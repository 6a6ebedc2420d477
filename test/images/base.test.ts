import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as tar from 'tar-stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { docker, withDocker } from '../docker/support.ts';
import { runOn, taskOf, textOf } from '../sandbox/conformance.ts';

const test = suite('images: base images');
const run = promisify(execFile);
const script = fileURLToPath(new URL('../../scripts/images/build-base.sh', import.meta.url));

/** What a build may not depend on. Two machines differ in all of it. */
const OTHER = {
  TZ: 'America/Lima',
  LANG: 'C.UTF-8',
  umask: '077',
  uid: process.getuid?.() === 0 ? 65534 : undefined,
};

async function inTempDir(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-base-'));
  try {
    await body(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Builds without any engine, in a cache of its own; answers the file. */
async function build(recipe: string, { TZ, LANG, umask, uid }: typeof OTHER, cache: string) {
  const who = uid === undefined ? {} : { uid, gid: uid };
  if (uid !== undefined) await chown(cache, uid, uid);
  const env = {
    ...process.env,
    TZ,
    LANG,
    XDG_CACHE_HOME: cache,
    HOME: cache,
    DOCKER_HOST: 'unix:///nowhere',
  };
  const command = `umask ${umask}; exec "$0" "$@"`;
  const { stdout } = await run('sh', ['-c', command, script, recipe, '--file-only', '--rebuild'], {
    env,
    ...who,
  });
  return stdout.trim();
}

interface Saved {
  readonly manifest: { Config: string; RepoTags: string[]; Layers: string[] }[];
  readonly digests: ReadonlyMap<string, string>;
}

/** The manifest of a saved image, and the sha-256 of each file beside it. */
async function readSaved(file: string): Promise<Saved> {
  const digests = new Map<string, string>();
  let manifest: Saved['manifest'] = [];
  const entries = tar.extract();
  createReadStream(file).pipe(entries);
  for await (const entry of entries) {
    const hash = createHash('sha256');
    const chunks: Buffer[] = [];
    for await (const chunk of entry) {
      hash.update(chunk as Buffer);
      if (entry.header.name.endsWith('manifest.json')) chunks.push(chunk as Buffer);
    }
    if (chunks.length > 0) manifest = JSON.parse(Buffer.concat(chunks).toString());
    digests.set(entry.header.name.replace(/^\.\//, ''), hash.digest('hex'));
  }
  return { manifest, digests };
}

const NAMES = { python: 'python:3.9-slim', shell: 'duxnode/shell:base', node: 'duxnode/node:base' };

/** `--file-only` keeps what is there, asks no engine and says where it is. */
async function assertKept(recipe: string, file: string, cache: string): Promise<void> {
  const env = { ...process.env, XDG_CACHE_HOME: cache, DOCKER_HOST: 'unix:///nowhere' };
  const { stdout, stderr } = await run(script, [recipe, '--file-only'], { env });
  assert.equal([stdout, stderr], [`${file}\n`, '']);
  const refused = run(script, [recipe], { env }).then(
    () => '',
    (error: { stderr: string }) => error.stderr,
  );
  assert.match(await refused, /no Docker engine answers/);
}

for (const [recipe, name] of Object.entries(NAMES))
  test(`${recipe}: two builds in other places, times and hands give the same image, which is kept`, () =>
    inTempDir(async dir => {
      // the one that this machine keeps was made at another time, by another user, in another place
      const one = (await run(script, [recipe, '--file-only'])).stdout.trim();
      const other = await build(recipe, OTHER, dir);
      assert.is.not(one, other);
      const saved = await readSaved(one);
      assert.equal([...(await readSaved(other)).digests], [...saved.digests]);
      const [image, ...more] = saved.manifest;
      assert.equal([image?.RepoTags[0], image?.Layers.length, more.length], [name, 1, 0]);
      // the name of the configuration is its own digest: the image's id
      const { Config: config = '' } = image ?? {};
      assert.is(config, `${saved.digests.get(config)}.json`);
      await assertKept(recipe, other, dir);
    }));

const bytes = Buffer.from('21');

/** What a task of each image's own kind does with an input, on its way to stdout and an output. */
const PROGRAMS = {
  'duxnode/shell:base': [
    'bash',
    '-c',
    'set -o pipefail; n=$(cat inputs/n); echo $((n * 2)) | tee outputs/n; seq 3 | awk "{s += \\$1} END {print s}" >&2',
  ],
  'duxnode/node:base': [
    'node',
    '-e',
    'const fs = require("fs"); const n = fs.readFileSync("inputs/n", "utf8") * 2; console.log(n); fs.writeFileSync("outputs/n", n + "\\n"); console.error(new Intl.NumberFormat("de").format(1.5) && "6")',
  ],
};

for (const [ref, argv] of Object.entries(PROGRAMS))
  test(`${ref} has all of the launcher’s way: inputs, outputs, Python`, async () => {
    // does nothing where it is there, as scripts/test.sh sees to
    await run(script, [ref.split(/[/:]/)[1] as string]);
    await withDocker(async executor => {
      const image = await executor.ensureImage(ref, {});
      const inputs = [{ path: 'inputs/n', bytes }];
      const result = await runOn(executor, image, taskOf(argv, { inputs }));
      assert.equal([textOf(result.stdout), textOf(result.stderr)], ['42\n', '6\n']);
      assert.equal(
        result.outputs.map(({ path, bytes }) => [path, textOf(bytes)]),
        [['n', '42\n']],
      );
      assert.is(textOf((await runOn(executor, image, taskOf('print(6 * 7)'))).stdout), '42\n');
      const { Size: size } = await docker.getImage(ref).inspect();
      assert.ok(size < 130e6, `${size} bytes`);
    });
  });

test.run();
