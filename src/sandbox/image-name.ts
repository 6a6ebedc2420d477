/** What a reference says, in full: as `docker.io/library/python`, `3.9-slim`. */
export interface ImageName {
  /** With its registry. */
  readonly repository: string;
  /** `latest` where neither tag nor digest is said. */
  readonly tag: string | null;
  /** `sha256:…`: pinned, whatever the tag says. */
  readonly digest: string | null;
}

const DIGEST = /^sha256:[0-9a-f]{64}$/;
const HUB = 'docker.io/';
/** In place of the star of `prefix/*`: two parts, or a registry alone would be taken for one of its images. */
const BELOW = '/x/x';

/** Undefined for what names no image, such as a bare id. */
export function parseImage(ref: string): ImageName | undefined {
  const [name = '', digest = null, ...rest] = ref.split('@');
  if (rest.length > 0 || (digest !== null && !DIGEST.test(digest))) return undefined;
  const at = name.indexOf(':', name.lastIndexOf('/') + 1);
  const path = at < 0 ? name : name.slice(0, at);
  const tag = at < 0 ? null : name.slice(at + 1);
  // engines take `sha256:1` for the beginning of an id
  if (!/^\w[\w./:-]*$/.test(path) || path === 'sha256' || tag === '') return undefined;
  return { repository: inFull(path), tag: tag ?? (digest ? null : 'latest'), digest };
}

/** With a registry before it, by the engine's own rule: the first part is one if it could be a host's name. */
function inFull(path: string): string {
  const full = path.replace(/^index\.docker\.io\//, HUB);
  if (isHost(full.split('/', 1)[0] as string) && full.includes('/'))
    return full.startsWith(HUB) ? hubName(full.slice(HUB.length)) : full;
  return hubName(full);
}

const isHost = (part: string): boolean => /[.:]/.test(part) || part === 'localhost';
const hubName = (path: string): string => HUB + (path.includes('/') ? path : `library/${path}`);

/** As engines list it: `python` -> `python:latest`, `docker.io/library/x:1` -> `x:1`; with a digest no tag counts. */
export function shortName(ref: string): string {
  const name = parseImage(ref);
  if (!name) return ref;
  const repository = name.repository.replace(/^docker\.io\/(library\/)?/, '');
  return name.digest ? `${repository}@${name.digest}` : `${repository}:${name.tag}`;
}

/** An entry of an allow-list: `name:tag`, `name@sha256:…`, `name:*` or `prefix/*`. */
export function isImagePattern(entry: string): boolean {
  return (
    /^[a-z0-9][\w./:@-]{0,253}(\w|[:/]\*)$/.test(entry) &&
    parseImage(entry.replace(/\/\*$/, BELOW)) !== undefined
  );
}

/**
 * Whether `ref` is what `entry` allows. `name` and `name:tag` allow that tag, `name@sha256:…` that digest, `name:*` any tag or
 * digest of it, `prefix/*` any image below a registry or a name.
 */
export function matchesImage(entry: string, ref: string): boolean {
  const name = parseImage(ref);
  const allowed = parseImage(entry.replace(/\/\*$/, BELOW));
  if (!name || !allowed) return false;
  if (entry.endsWith('/*')) return name.repository.startsWith(allowed.repository.slice(0, -BELOW.length + 1));
  if (name.repository !== allowed.repository) return false;
  if (allowed.tag === '*') return true;
  return allowed.digest === null && name.digest === null
    ? name.tag === allowed.tag
    : name.digest === allowed.digest;
}
