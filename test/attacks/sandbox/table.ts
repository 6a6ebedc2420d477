import { canWithout, type SandboxAttack } from './lab.ts';

const HEAD = '| attack | what stops it | shown to succeed without it |\n|---|---|---|\n';
const RUNTIME_NAMES = { docker: 'Docker', native: 'native', runsc: 'gVisor' };

/** The table of docs/security.md, as the suite of attacks makes it. */
export function attackTable(attacks: readonly SandboxAttack[]): string {
  const shownBy = ({ control }: SandboxAttack) => {
    if ('notTried' in control) return control.notTried;
    return canWithout(control, 'native') ? 'yes, natively too' : 'yes';
  };
  return HEAD + attacks.map(attack => `| ${attack.name} | ${attack.by} | ${shownBy(attack)} |\n`).join('');
}

/** Where an attack is not stopped, or means nothing, as list items. */
export function exceptions(attacks: readonly SandboxAttack[]): string {
  const lines = attacks.flatMap(({ name, notOn = {} }) =>
    Object.entries(notOn).map(
      ([runtime, why]) => `- ${RUNTIME_NAMES[runtime as keyof typeof RUNTIME_NAMES]}, ${name}: ${why}\n`,
    ),
  );
  return lines.sort().join('');
}
