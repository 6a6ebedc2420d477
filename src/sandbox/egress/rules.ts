/** Ports of a pattern that names none: HTTP and HTTPS. Mail, shells and databases are never meant by accident. */
const WEB_PORTS = [80, 443];

interface Pattern {
  /** Of the host itself, or of all below it. Null: all hosts. */
  readonly name: string | null;
  readonly below: boolean;
  readonly ports: readonly number[];
}

function parse(pattern: string): Pattern {
  if (pattern === '*') return { name: null, below: false, ports: WEB_PORTS };
  const [host = '', port] = pattern.split(':');
  const below = host.startsWith('*.');
  return { name: below ? host.slice(2) : host, below, ports: port ? [Number(port)] : WEB_PORTS };
}

function nameFits(pattern: Pattern, host: string): boolean {
  if (pattern.name === null) return true;
  return pattern.below ? host.endsWith(`.${pattern.name}`) : host === pattern.name;
}

/** Whether one of `patterns` lets to this host and port. `host` as `hostOf` gives it. */
export function lets(patterns: readonly string[], host: string, port: number): boolean {
  return patterns.some(text => {
    const pattern = parse(text);
    return nameFits(pattern, host) && pattern.ports.includes(port);
  });
}

/** The first of `asked` that reaches further than all of `lent`; undefined when each is covered by one. */
export function hostNotLent(asked: readonly string[], lent: readonly string[]): string | undefined {
  const outer = lent.map(parse);
  return asked.find(text => {
    const inner = parse(text);
    return !outer.some(
      pattern => covers(pattern, inner) && inner.ports.every(port => pattern.ports.includes(port)),
    );
  });
}

function covers(outer: Pattern, inner: Pattern): boolean {
  if (outer.name === null) return true;
  if (inner.name === null) return false;
  if (!inner.below) return nameFits(outer, inner.name);
  return outer.below && (inner.name === outer.name || inner.name.endsWith(`.${outer.name}`));
}

/** What a request to a proxy is for. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

/** Lower case, without the dot that ends a full name: the form that patterns are in. */
function hostOf(text: string): string {
  return text.toLowerCase().replace(/\.$/, '');
}

/** The target of `CONNECT host:port`; undefined when it is not one. RFC 9110, section 9.3.6. */
export function connectTarget(authority: string): Target | undefined {
  const found = /^([a-z0-9._-]{1,254}):([0-9]{1,5})$/i.exec(authority);
  const port = Number(found?.[2]);
  return found?.[1] && port >= 1 && port <= 65_535 ? { host: hostOf(found[1]), port } : undefined;
}

/** The target of a request in absolute form (RFC 9112, section 3.2.2), and the path to ask it for. */
export function absoluteTarget(url: string): (Target & { readonly path: string }) | undefined {
  if (!URL.canParse(url)) return undefined;
  const { protocol, hostname, port, pathname, search, username, password } = new URL(url);
  if (protocol !== 'http:' || username || password) return undefined;
  const target = connectTarget(`${hostname}:${port || 80}`);
  return target && { ...target, path: `${pathname}${search}` };
}
