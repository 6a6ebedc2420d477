import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Membership } from '../ledger/index.ts';
import { type Clock, CodedError, codeOf, type Logger, messageOf } from '../util/index.ts';
import { isInviteText, readInvite } from '../wire/index.ts';
import { writePrivateFile } from './files.ts';

/** An invite that is to be redeemed, for as long as it is not. */
export interface Joining {
  readonly text: string;
  /** Where `duxnode join` left it. */
  readonly file: string;
}

/** How long a start waits for the notaries; after that it goes on, and so does the joining. */
const WAIT_MS = 10_000;

const fileOf = (dataDir: string): string => join(dataDir, 'invite');

/** For the next start. The file is a secret: whoever has it may join. */
export function leaveInvite(dataDir: string, text: string): Promise<void> {
  return writePrivateFile(fileOf(dataDir), text);
}

/** The invite of this start, or one that was left for it. */
export async function pendingInvite(options: {
  readonly dataDir: string;
  readonly join: readonly string[];
}): Promise<Joining | undefined> {
  const file = fileOf(options.dataDir);
  const given = options.join.find(isInviteText);
  const text = given ?? (await readFile(file, 'utf8').catch(noneIfAbsent));
  return text === undefined ? undefined : { text, file };
}

function noneIfAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

/**
 * Redeems an invite; one that was redeemed before changes nothing. Until that is done, or refused, it is kept for the next start.
 * @throws CodedError as `Membership.redeem` where it never can be.
 */
export async function joinBy(
  { membership, clock, logger }: { membership: Membership; clock: Clock; logger: Logger },
  { text, file }: Joining,
): Promise<void> {
  await writePrivateFile(file, text);
  let isLate = false;
  const joining = redeem(membership, text, file);
  joining.catch(error => {
    if (isLate) logger.warn({ code: codeOf(error), reason: messageOf(error) }, 'the invite was not redeemed');
  });
  const late = new Promise<void>(resolve =>
    clock.after(WAIT_MS, () => {
      isLate = true;
      resolve();
    }),
  );
  await Promise.race([joining, late]);
  if (isLate) logger.warn({}, 'no notary answers yet: this node is a guest until one does');
}

async function redeem(membership: Membership, text: string, file: string): Promise<void> {
  try {
    await membership.redeem(readInvite(text));
  } catch (error) {
    // What the end of the daemon cut off is tried again.
    if (!(error instanceof CodedError)) throw error;
    await rm(file, { force: true });
    if (error.code !== 'MEMBER_ALREADY') throw error;
  }
  await rm(file, { force: true });
}
