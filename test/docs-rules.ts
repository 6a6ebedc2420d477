import { posix } from 'node:path';

/** A Markdown page by its path below the repository's root. */
export interface Page {
  readonly path: string;
  readonly text: string;
}

const LINK = /\[[^\]\n]*\]\(([^)\s]+)\)/g;

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, code => code.slice(1, -1));
}

/** What GitHub makes of a heading. */
function anchorsOf(text: string): Set<string> {
  const headings = [...withoutCode(text).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading as string);
  return new Set(
    headings.map(heading =>
      heading
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** Relative links to a file that is not in `files`, or to a heading that its page lacks. */
export function brokenLinks(pages: readonly Page[], files: ReadonlySet<string>): string[] {
  const anchors = new Map(pages.map(({ path, text }) => [path, anchorsOf(text)]));
  return pages.flatMap(({ path, text }) =>
    [...withoutCode(text).matchAll(LINK)]
      .map(([, target]) => target as string)
      .filter(target => !/^[a-z]+:/.test(target))
      .filter(target => {
        const [file = '', anchor] = target.split('#');
        const to = file === '' ? path : posix.join(posix.dirname(path), file);
        return !files.has(to) || (anchor !== undefined && !anchors.get(to)?.has(anchor));
      })
      .map(target => `${path}: ${target}`),
  );
}

/** The keys that have a row of their own. */
export function configRows(page: string): string[] {
  return [...page.matchAll(/^\| `([a-z_]+\.[a-z_]+)` \|/gm)].map(([, key]) => key as string);
}

export function unnamedKeys(page: string, keys: readonly string[]): string[] {
  const rows = configRows(page);
  return keys.filter(key => !rows.includes(key));
}

/** The second column of each key's row. */
export function tableDefaults(page: string): Map<string, string> {
  const rows = page.matchAll(/^\| `([a-z_]+\.[a-z_]+)` \| ([^|]*?) \|/gm);
  return new Map([...rows].map(([, key, value]) => [key as string, value as string]));
}

export function unnamedRoutes(
  page: string,
  routes: readonly { readonly method: string; readonly path: string }[],
): string[] {
  return routes
    .filter(({ method, path }) => !page.includes(`| ${method} | \`${path}\` |`))
    .map(({ method, path }) => `${method} ${path}`);
}

export function unnamedErrors(
  page: string,
  errors: Readonly<Record<string, { readonly status: number }>>,
): string[] {
  return Object.entries(errors)
    .filter(([code, { status }]) => !page.includes(`| \`${code}\` | ${status} |`))
    .map(([code, { status }]) => `${code} ${status}`);
}

/** The commands that a program's help lists, `help` apart. */
export function commandsIn(help: string): string[] {
  const list = help.split('\nCommands:\n')[1]?.split('\n\n')[0] ?? '';
  const names = [...list.matchAll(/^ {2}([a-z]+)\b/gm)].map(([, name]) => name as string);
  return names.filter(name => name !== 'help');
}
