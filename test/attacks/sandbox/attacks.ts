import { fileAttacks } from './files.ts';
import { kernelAttacks } from './kernel.ts';
import type { SandboxAttack } from './lab.ts';
import { launcherAttacks } from './launcher.ts';
import { neighbourAttacks } from './neighbours.ts';
import { networkAttacks } from './network.ts';
import { resourceAttacks } from './resources.ts';
import { reuseAttacks } from './reuse.ts';

/** What a hostile task may try, in the order of the table in docs/security.md. */
export const sandboxAttacks: readonly SandboxAttack[] = [
  ...networkAttacks,
  ...kernelAttacks,
  ...fileAttacks,
  ...resourceAttacks,
  ...launcherAttacks,
  ...neighbourAttacks,
  ...reuseAttacks,
];
