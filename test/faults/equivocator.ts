import * as assert from 'uvu/assert';
import { LedgerClient } from '../../src/ledger/client.ts';
import { CommitteeClient } from '../../src/ledger/committee-client.ts';
import { Committees, committeeOf, createWitness, LEDGER_PROTOCOL } from '../../src/ledger/index.ts';
import { proposeAll } from '../../src/ledger/rounds.ts';
import type { SeveralComponents } from '../../src/ledger/several.ts';
import { createIdentity, createNetwork } from '../../src/network/index.ts';
import { deferred, noMetrics, silentLogger, systemClock } from '../../src/util/index.ts';
import {
  fundsKind,
  type GenesisInfo,
  type LedgerOp,
  ledgerAnswerMessage,
  ledgerOrderKind,
  ledgerRequestMessage,
  open,
  seal,
  signerFromSeed,
} from '../../src/wire/index.ts';
import { withDatabase } from '../db/temp-dir.ts';
import { waitFor } from '../fixtures/wait.ts';

/** An owner who signs two orders with one number; the code that brings them to the notaries is that of any node. */
export interface Equivocator {
  readonly account: string;
  /** What each notary says that `account` holds. */
  balances(account: string): Promise<bigint[]>;
  /** Two orders of 1 and 2 units with one number, each of which some notaries have seen first. How many went through. */
  orderTwice(first: string, second: string): Promise<number>;
  /** All that is left, by its next order. */
  sendAll(to: string): Promise<void>;
}

/** Runs `fn` with a node in this process that has nothing but a network, joined at `addresses`, and its grant. */
export async function withEquivocator(
  genesis: GenesisInfo,
  addresses: readonly string[],
  fn: (equivocator: Equivocator) => Promise<void>,
): Promise<void> {
  const identity = await createIdentity();
  const signer = signerFromSeed(identity.seed);
  const committee = committeeOf(genesis);
  const { keys } = committee;
  const parts = { logger: silentLogger, clock: systemClock, metrics: noMetrics };
  const network = createNetwork(parts, {
    privateKey: identity.privateKey,
    networkId: genesis.networkId,
    datastoreDir: null,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    bootstrap: addresses,
    transport: 'tcp',
    genesis: genesis.bytes,
  });
  await withDatabase(async db => {
    await network.start();
    const witness = createWitness({ db, network, ...parts }, { notaries: () => keys });
    try {
      await witness.start();
      await waitFor(() => keys.every(peer => network.isConnected(peer)), 'the notaries', 30_000);
      const ask: SeveralComponents['ask'] = async (peer, request, options) => {
        const bytes = ledgerRequestMessage.encode(request);
        return ledgerAnswerMessage.decode(await network.call(peer, LEDGER_PROTOCOL, bytes, options));
      };
      const several = { ...parts, committee, witness, ask };
      const client = new CommitteeClient(several);
      const committees = new Committees({ db, logger: silentLogger }, genesis);
      const ledger = new LedgerClient({ network, ...parts, witness }, { account: signer.peer, committees });
      await ledger.request({ type: 'join' }, 'decided');
      const order = (seq: number, to: string, amount: bigint) => {
        const ops: LedgerOp[] = [{ op: 'transfer', to, amount }];
        return seal(ledgerOrderKind, { net: genesis.net, account: signer.peer, seq, ops }, signer).bytes;
      };
      const balances = (account: string) =>
        Promise.all(
          keys.map(async peer => {
            const answer = await ask(peer, { type: 'funds', account }, {});
            return answer.type === 'funds' ? open(fundsKind, answer.funds).body.balance : -1n;
          }),
        );
      /** What all notaries say that the account has, once they have heard of the last decision. */
      const agreed = async () => {
        let held: bigint[] = [];
        const isAgreed = async () => {
          held = await balances(signer.peer);
          return held.every(balance => balance > 0n && balance === held[0]);
        };
        await waitFor(isAgreed, 'all notaries to know what was decided', 30_000);
        return held[0]!;
      };
      await agreed();
      await fn({
        account: signer.peer,
        balances,
        async orderTwice(first, second) {
          const [one, two] = [order(0, first, 100_000n), order(0, second, 200_000n)];
          // A client ends with the votes of a quorum. These are two that have the last notary's among them, which none would prove without.
          const last = keys.at(-1)!;
          const withoutFirst: SeveralComponents['ask'] = (peer, ...rest) =>
            peer === keys[0] ? Promise.reject(new Error('away')) : ask(peer, ...rest);
          const { rounds } = await proposeAll({ ...several, ask: withoutFirst }, [one], {});
          assert.is(rounds[0]?.votes, committee.quorum);
          const voted = deferred<void>();
          const lastFirst: SeveralComponents['ask'] = async (peer, request, options) => {
            const answer = await ask(peer, request, options);
            if (peer === last) voted.resolve();
            if (request.type === 'propose') await voted.promise;
            return answer;
          };
          const rival = new CommitteeClient({ ...several, ask: lastFirst });
          const outcomes = [...(await rival.submit([two], {})), ...(await client.submit([one], {}))];
          return outcomes.filter(({ ok }) => ok).length;
        },
        async sendAll(to) {
          const value = order(1, to, await agreed());
          const isDone = async () => (await client.submit([value], {}))[0]?.ok === true;
          await waitFor(isDone, 'the account to go on', 30_000);
        },
      });
    } finally {
      await witness.stop();
      await network.stop();
    }
  });
}
