import { createHash, timingSafeEqual } from 'node:crypto';

/** What a request tells about where it comes from. */
export interface AccessFacts {
  /** Of the socket, never of a header. */
  readonly remoteAddress: string;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly authorization: string | undefined;
  /** It carries Forwarded, any X-Forwarded-*, or Via. */
  readonly forwarded: boolean;
}

export interface AccessRule {
  /** `local`: no token from this machine; `token`: always the token. */
  readonly access: 'local' | 'token';
  readonly auth: 'local' | 'token';
  /** `enable_cors`: which other pages' scripts may call. */
  readonly cors: boolean | readonly string[];
  readonly token: string;
}

export type AccessVerdict =
  | { readonly allowed: true; readonly tokenless: boolean }
  | { readonly allowed: false; readonly code: 'TOKEN_REQUIRED' | 'TOKEN_WRONG'; readonly reason: string };

/** 127.0.0.0/8 and ::1, also as IPv4-mapped IPv6. */
export function isLoopbackAddress(address: string): boolean {
  const plain = address.replace(/^::ffff:/i, '');
  return plain === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(plain);
}

/** A loopback name as a Host header or a URL writes it, with or without a port. */
export function isLoopbackHost(host: string): boolean {
  const match = /^(\[[0-9a-f:]+\]|[^:@/\s]+)(:\d{1,5})?$/i.exec(host);
  const name = match?.[1]?.toLowerCase().replace(/^\[(.*)\]$/, '$1') ?? '';
  return name === 'localhost' || name.endsWith('.localhost') || isLoopbackAddress(name);
}

function hostOfOrigin(origin: string): string | undefined {
  return /^https?:\/\/([^/?#@\s]+)$/i.exec(origin)?.[1]?.toLowerCase();
}

/** Whether a page from `origin` may call: with `true`, pages of this machine; with a list, the listed ones. */
export function isCorsOrigin(origin: string, cors: boolean | readonly string[]): boolean {
  if (typeof cors !== 'boolean') return cors.includes(origin);
  const host = hostOfOrigin(origin);
  return cors && host !== undefined && isLoopbackHost(host);
}

/** A foreign Origin is one that is neither our own page nor a page of this machine that CORS lets in. */
function isForeign(origin: string, host: string, cors: AccessRule['cors']): boolean {
  const originHost = hostOfOrigin(origin);
  if (originHost === undefined || !isLoopbackHost(originHost)) return true;
  return originHost !== host.toLowerCase() && !isCorsOrigin(origin, cors);
}

/** Why the request is not simply this machine's user calling; undefined when it is. */
function notLocal(facts: AccessFacts, rule: AccessRule): string | undefined {
  if (!isLoopbackAddress(facts.remoteAddress)) return 'it comes from another machine';
  if (facts.host === undefined || !isLoopbackHost(facts.host)) return 'its Host is not a loopback name';
  if (facts.forwarded) return 'it came through a proxy';
  if (facts.origin !== undefined && isForeign(facts.origin, facts.host, rule.cors))
    return 'it was made by a page of another origin';
  return undefined;
}

/** Compared by digest, so that neither the time nor the length tells anything. */
function sameToken(given: string, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
}

/** The rule of design/interface.md, "Access". A wrong token is refused even where none was needed. */
export function decideAccess(facts: AccessFacts, rule: AccessRule): AccessVerdict {
  if (facts.authorization !== undefined) {
    const given = /^Bearer +(\S+)$/i.exec(facts.authorization)?.[1];
    if (given !== undefined && sameToken(given, rule.token)) return { allowed: true, tokenless: false };
    return { allowed: false, code: 'TOKEN_WRONG', reason: 'the token is not this node’s' };
  }
  const reason =
    rule.access === 'token'
      ? 'this path always asks for it'
      : rule.auth === 'token'
        ? 'api.auth is "token"'
        : notLocal(facts, rule);
  return reason === undefined
    ? { allowed: true, tokenless: true }
    : { allowed: false, code: 'TOKEN_REQUIRED', reason };
}

/** The headers by which a proxy gives itself away. */
export function isForwarded(headers: Readonly<Record<string, unknown>>): boolean {
  return Object.keys(headers).some(
    name => name === 'forwarded' || name === 'via' || name.startsWith('x-forwarded-'),
  );
}
