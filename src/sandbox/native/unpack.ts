import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, link, lstat, mkdir, readdir, rm, symlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Extract, extract, type Header } from 'tar-stream';
import { type Abortable, CodedError, codeOf, messageOf } from '../../util/index.ts';
import { resolveInRoot } from './in-root.ts';
import { BadImage, type Layer } from './save-file.ts';

export interface UnpackLimits {
  readonly maxImageBytes: number;
  readonly maxImageEntries: number;
}

/** Where a sandbox mounts something of its own, whatever the image has there. */
const MOUNT_POINTS = ['dev', 'proc', 'sys', 'task', 'tmp'];
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
/** Without set-id bits; the owner, who is the node, can always read and remove. */
const FOLDER_BITS = 0o1777;
const FILE_BITS = 0o777;
const OWNER_FOLDER = 0o700;
const OWNER_FILE = 0o400;

/**
 * Unpacks layers into `root`, an empty folder, lowest first. A hostile layer can put nothing outside of it: each path is
 * followed inside of `root` alone, devices and fifos are left out, hard links lead to its own files, set-id bits are
 * stripped, bytes and entries are bounded.
 * @throws BadImage; what the disk answers.
 */
export async function unpackLayers(
  file: string,
  layers: readonly Layer[],
  root: string,
  limits: UnpackLimits,
  { signal }: Abortable = {},
): Promise<{ readonly bytes: number }> {
  const left = { bytes: limits.maxImageBytes, entries: limits.maxImageEntries };
  for (const layer of layers) await unpackLayer(file, layer, root, left, signal);
  for (const name of MOUNT_POINTS) await makeMountPoint(join(root, name));
  return { bytes: limits.maxImageBytes - left.bytes };
}

interface Left {
  bytes: number;
  entries: number;
}

async function unpackLayer(
  file: string,
  { offset, size, diffId }: Layer,
  root: string,
  left: Left,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (size === 0) throw new BadImage('one of its layers is empty');
  const hash = createHash('sha256');
  const hashing = new PassThrough();
  hashing.on('data', (chunk: Buffer) => hash.update(chunk));
  const tar = extract();
  const source = createReadStream(file, { start: offset, end: offset + size - 1 });
  const fed = pipeline(source, hashing, tar, { signal });
  const unpacked = unpackEntries(root, tar, left);
  try {
    await Promise.all([fed, unpacked]);
  } catch (error) {
    tar.destroy();
    await Promise.allSettled([fed, unpacked]); // the other fails for the same reason, or when its entry has ended
    signal?.throwIfAborted();
    if (error instanceof CodedError || /^E[A-Z]+$/.test(codeOf(error))) throw error;
    throw new BadImage(`one of its layers cannot be read: ${messageOf(error)}`, { cause: error });
  }
  if (`sha256:${hash.digest('hex')}` !== diffId)
    throw new BadImage('one of its layers is damaged: its hash is not the one in its configuration');
}

async function unpackEntries(root: string, tar: Extract, left: Left): Promise<void> {
  for await (const entry of tar) {
    if (--left.entries < 0) throw new BadImage('it has more files than are taken');
    left.bytes -= entry.header.size;
    if (left.bytes < 0) throw new BadImage('it is larger than is taken');
    await unpackEntry(root, entry.header, entry);
    entry.resume();
  }
}

async function unpackEntry(root: string, header: Header, content: AsyncIterable<unknown>): Promise<void> {
  const parts = cleanParts(header.name);
  const name = parts.pop();
  if (name === undefined) return;
  const parent = await resolveInRoot(root, parts.join('/'), { create: true });
  if (parent === undefined || !(await lstat(parent)).isDirectory())
    throw new BadImage(`${JSON.stringify(header.name.slice(0, 100))} is in no folder`);
  if (name === OPAQUE) return removeAllIn(parent);
  if (name.startsWith(WHITEOUT)) {
    const [hidden] = cleanParts(name.slice(WHITEOUT.length));
    if (hidden) await rm(join(parent, hidden), { recursive: true, force: true });
    return;
  }
  const target = join(parent, name);
  const mode = header.mode;
  switch (header.type) {
    case 'directory':
      if (!(await isFolder(target))) {
        await rm(target, { recursive: true, force: true });
        await mkdir(target);
      }
      return chmod(target, (mode & FOLDER_BITS) | OWNER_FOLDER);
    case 'file':
    case 'contiguous-file':
      await rm(target, { recursive: true, force: true });
      await pipeline(content, createWriteStream(target, { flags: 'wx', mode: 0o600 }));
      await chmod(target, (mode & FILE_BITS) | OWNER_FILE);
      // Python holds what it compiled against the time of the source.
      return utimes(target, header.mtime, header.mtime);
    case 'symlink':
      await rm(target, { recursive: true, force: true });
      return symlink(header.linkname, target);
    case 'link':
      return hardLink(root, header.linkname, target);
    default:
      return; // devices and fifos are of no use inside; /dev is the sandbox's own
  }
}

async function hardLink(root: string, linkname: string, target: string): Promise<void> {
  const parts = cleanParts(linkname);
  const name = parts.pop();
  const parent = await resolveInRoot(root, parts.join('/'));
  const source = name && parent ? join(parent, name) : undefined;
  if (source === undefined || (await isFolder(source)) !== false)
    throw new BadImage(`a link leads to ${JSON.stringify(linkname.slice(0, 100))}, which is no file of it`);
  if (source === target) return;
  await rm(target, { recursive: true, force: true });
  await link(source, target);
}

/** @throws BadImage for a name that would lead out. */
function cleanParts(path: string): string[] {
  const parts = path.split('/').filter(part => part !== '' && part !== '.');
  if (parts.includes('..') || path.includes('\0'))
    throw new BadImage(`it names a file ${JSON.stringify(path.slice(0, 100))}`);
  return parts;
}

/** Undefined when there is nothing. */
async function isFolder(path: string): Promise<boolean | undefined> {
  try {
    return (await lstat(path)).isDirectory();
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

async function removeAllIn(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true });
}

async function makeMountPoint(path: string): Promise<void> {
  if (!(await isFolder(path))) {
    await rm(path, { recursive: true, force: true });
    await mkdir(path);
  }
  await chmod(path, 0o755);
}
