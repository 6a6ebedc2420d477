import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type InviteTerms, peekSlot } from '../../src/ledger/index.ts';
import { applyRedeem, applyRemoval, applyRevoke } from '../../src/ledger/invites.ts';
import { inviteRecord, type StoredInvite } from '../../src/ledger/records.ts';
import {
  type Genesis,
  inviteKind,
  MAX_INVITE_USES,
  open,
  readInvite,
  redeemKind,
  removalKind,
  revokeKind,
  type Signer,
  seal,
  writeInvite,
} from '../../src/wire/index.ts';
import { waitFor } from '../fixtures/wait.ts';
import { code, type TestLedger, type TestNode, withLedger } from './network.ts';
import * as s from './support.ts';

const test = suite('ledger: invites');
const { FLOP, T0, admin, alice, bob, carol } = s;
const DAY_MS = 86_400_000;

const invited: Partial<Genesis> = { membership: 'invited', openGrant: 0n };
const info = s.makeGenesis(invited);
const key = s.person('an invite');
const inviteOf = (change = {}, signer = admin) =>
  seal(inviteKind, { net: info.net, id: key.peer, grant: 5n, uses: 2, expires: T0, ...change }, signer);
const redeemOf = (invite = inviteOf(), change = {}, signers: Signer[] = [alice, key]) =>
  seal(
    redeemKind,
    { net: info.net, invite: invite.bytes, use: 0, account: alice.peer, ...change },
    ...signers,
  );

const empty = { balance: 0n, seq: 0 };
const start = { purse: { balance: 10n, seq: 0 }, ticket: empty, account: empty };

test('rules: a redemption pays from what was set aside, makes a member, and is refused for one reason each', () => {
  const take = (change = {}, redeem = redeemOf(), invite = inviteOf(), now: number | null = T0) =>
    applyRedeem({ ...start, ...change }, redeem, invite, now, info);
  const after = take();
  assert.equal(after.purse, { balance: 5n, seq: 1 });
  assert.equal(after.account, { balance: 5n, seq: 0, memberships: 1 });
  assert.is(after.ticket.seq, 1);
  const refusals: [string, () => unknown][] = [
    ['STATEMENT_SIGNER', () => take({}, redeemOf(inviteOf(), {}, [alice]))],
    ['STATEMENT_SIGNER', () => take({}, redeemOf(inviteOf(), {}, [alice, bob]))],
    ['STATEMENT_SIGNER', () => take({}, redeemOf(inviteOf(), {}, [alice, key, bob]))],
    ['STATEMENT_SIGNER', () => take({}, redeemOf(), inviteOf({}, bob))],
    ['STATEMENT_NETWORK', () => take({}, redeemOf(inviteOf(), { net: s.genesis.net }))],
    ['STATEMENT_NETWORK', () => take({}, redeemOf(), inviteOf({ net: s.genesis.net }))],
    ['INVITE_EXHAUSTED', () => take({}, redeemOf(inviteOf(), { use: 2 }))],
    ['INVITE_REDEEMED', () => take({ ticket: { balance: 0n, seq: 1 } })],
    ['INVITE_REVOKED', () => take({ purse: { ...start.purse, revoked: true } })],
    ['INVITE_USE', () => take({}, redeemOf(inviteOf(), { use: 1 }))],
    ['MEMBER_ALREADY', () => take({ account: { ...empty, memberships: 1 } })],
    ['INVITE_EXPIRED', () => take({}, redeemOf(), inviteOf(), T0 + 1)],
    ['FUNDS_INSUFFICIENT', () => take({ purse: { balance: 4n, seq: 0 } })],
  ];
  for (const [expected, fn] of refusals) assert.is(s.thrownCode(fn), expected);
  // What others decided: neither time nor another membership speaks against it.
  const decided = take({ account: { ...empty, memberships: 1 } }, redeemOf(), inviteOf(), null);
  assert.is(decided.account.memberships, 2);
});

test('rules: the admin alone revokes and removes, each at its place', () => {
  const revokeOf = (change = {}, signer = admin) =>
    seal(revokeKind, { net: info.net, invite: key.peer, use: 1, amount: 5n, ...change }, signer);
  const purse = { balance: 5n, seq: 1 };
  const revoke = (statement = revokeOf()) => applyRevoke({ purse, admin: empty }, statement, info);
  assert.equal(revoke().purse, { balance: 0n, seq: 2, revoked: true });
  assert.is(revoke().admin.balance, 5n);
  const removalOf = (change = {}, signer = admin) =>
    seal(removalKind, { net: info.net, invite: key.peer, use: 0, account: alice.peer, ...change }, signer);
  const member = { ticket: { balance: 0n, seq: 1 }, account: { ...empty, memberships: 1 } };
  const remove = (statement = removalOf()) => applyRemoval(member, statement, info);
  assert.is(remove().memberships, 0);
  const refusals: [string, () => unknown][] = [
    ['STATEMENT_SIGNER', () => revoke(revokeOf({}, alice))],
    ['INVITE_USE', () => revoke(revokeOf({ use: 0 }))],
    ['FUNDS_INSUFFICIENT', () => revoke(revokeOf({ amount: 6n }))],
    ['STATEMENT_SIGNER', () => remove(removalOf({}, bob))],
    ['MEMBER_UNKNOWN', () => remove(removalOf({ use: 1 }))],
  ];
  for (const [expected, fn] of refusals) assert.is(s.thrownCode(fn), expected);
});

test('the text of an invite is short, whole or nothing, and says what the admin signed', () => {
  const seed = new Uint8Array(32).fill(7);
  const terms = { net: info.net, grant: 5n * FLOP, uses: 3, expires: T0 };
  const address = `/ip4/192.168.178.23/tcp/4001/p2p/${admin.peer}`;
  const { id, text } = writeInvite(terms, seed, admin, [address]);
  const held = readInvite(text);
  assert.equal(held.invite.body, { ...terms, id });
  assert.equal([held.admin, held.networkId, held.addresses], [admin.peer, info.networkId, [address]]);
  assert.is(held.key.peer, id);
  assert.ok(text.length < 450, `${text.length} characters`);
  assert.equal(open(inviteKind, held.invite.bytes).signers, [admin.peer]);
  for (let at = 0; at < text.length; at += 3) {
    const changed = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
    const left = s.thrownCode(() => assert.equal(readInvite(changed).invite.body, held.invite.body));
    if (left !== null) assert.match(left, /^(WIRE_|ERR_ASSERTION)/);
  }
  for (const cut of ['', 'dux1', text.slice(0, -8), `${text}AAAA`, 'x'.repeat(10)])
    assert.is(
      s.thrownCode(() => readInvite(cut)),
      'WIRE_MALFORMED',
    );
});

const week = (grant: bigint, uses = 1): InviteTerms => ({ grant, uses, expiresMs: 7 * DAY_MS });

async function invite(ledger: TestLedger, terms: InviteTerms) {
  const { id, text } = await ledger.first.invitations.create(terms, ledger.first.network.addresses(), {});
  return { id, held: readInvite(text) };
}

const free = ({ wallet }: TestNode) => wallet.balance().free;

test('one notary: an invite gives each of its uses once, and its rest goes back', () =>
  withLedger(
    async ledger => {
      const { first } = ledger;
      const [dora, emil, fred] = [await ledger.add(), await ledger.add(), await ledger.add()];
      const { id, held } = await invite(ledger, week(5n * FLOP, 2));
      assert.is(free(first), 990n * FLOP, 'set aside');
      await Promise.all([dora.membership.redeem(held), emil.membership.redeem(held)]);
      await dora.membership.redeem(held);
      assert.equal([free(dora), free(emil)], [5n * FLOP, 5n * FLOP]);
      assert.is(await code(fred.membership.redeem(held)), 'INVITE_EXHAUSTED');
      assert.equal(
        (await first.invitations.list(new AbortController().signal)).map(({ used, state }) => [used, state]),
        [[2, 'used']],
      );
      assert.is(await code(fred.invitations.create(week(1n), [], {})), 'NOT_ADMIN');
      assert.equal(await first.invitations.revoke(id, new AbortController().signal), { returned: 0n });

      const other = await invite(ledger, week(7n * FLOP, 3));
      await fred.membership.redeem(other.held);
      // Who reads the ledger has the invite, but not its key.
      const stolen = seal(
        redeemKind,
        { net: ledger.info.net, invite: other.held.invite.bytes, use: 1, account: carol.peer },
        carol,
        bob,
      );
      const [outcome] = await first.notary!.submit([stolen.bytes]);
      assert.is(outcome && !outcome.ok && (outcome.error as { code: string }).code, 'STATEMENT_SIGNER');
      const { returned } = await first.invitations.revoke(other.id, new AbortController().signal);
      assert.equal([returned, free(first)], [14n * FLOP, 983n * FLOP]);
      const gina = await ledger.add();
      assert.is(await code(gina.membership.redeem(other.held)), 'INVITE_REVOKED');
      const late = await invite(ledger, { grant: 1n, uses: 1, expiresMs: -1 });
      assert.is(await code(gina.membership.redeem(late.held)), 'INVITE_EXPIRED');
      assert.is(await code(fred.membership.redeem(late.held)), 'MEMBER_ALREADY');
      const textOf = (net: Uint8Array, signer: Signer) =>
        writeInvite({ net, grant: 1n, uses: 1, expires: T0 }, new Uint8Array(32), signer, ['/memory/1']).text;
      const foreign = readInvite(textOf(s.genesis.net, admin));
      assert.is(await code(gina.membership.redeem(foreign)), 'NETWORK_DIFFERS');
      const forged = readInvite(textOf(ledger.info.net, carol));
      assert.is(await code(gina.membership.redeem(forged)), 'STATEMENT_SIGNER');
      assert.is(free(gina), 0n);

      // A crash between the note of an invite and its money.
      const { db } = first;
      const record = { grant: 2n * FLOP, uses: 2, expires: T0, createdAt: T0 };
      const unfunded = db.repository<StoredInvite>('invites', inviteRecord).putOp(key.peer, record);
      await db.write([unfunded]);
      const before = free(first);
      const back = await first.invitations.revoke(key.peer, new AbortController().signal);
      assert.equal([back.returned, free(first)], [4n * FLOP, before]);
      await ledger.audit();
    },
    { overrides: invited },
  ));

test('members are known to every node by certificates, over restarts; who is removed is a guest', () =>
  withLedger(
    async ledger => {
      const { first } = ledger;
      const [dora, emil] = [await ledger.add(), await ledger.add()];
      const { id, held } = await invite(ledger, week(0n, MAX_INVITE_USES));
      assert.equal(emil.membership.usesOf(dora.signer.peer), []);
      await dora.membership.redeem(held);
      await waitFor(() => emil.membership.has(dora.signer.peer), 'the new member to be known', 20_000);
      assert.equal(
        emil.membership.list().map(member => [member.account, member.invite]),
        [
          [first.signer.peer, null],
          [dora.signer.peer, id],
        ],
      );
      await ledger.stop(emil);
      await ledger.start(emil, { isAlone: true });
      assert.ok(emil.membership.has(dora.signer.peer), 'with no notary in reach');
      emil.network.join(first.network.addresses()[0]!);
      await waitFor(() => emil.network.isConnected(first.signer.peer), 'the notary', 10_000);

      const signal = new AbortController().signal;
      assert.is(await code(first.invitations.remove(emil.signer.peer, signal)), 'MEMBER_UNKNOWN');
      await first.invitations.remove(dora.signer.peer, signal);
      await emil.membership.sync();
      assert.not(emil.membership.has(dora.signer.peer));
      assert.is(await code(dora.membership.redeem(held)), 'INVITE_REDEEMED');
      const again = await invite(ledger, week(0n));
      await dora.membership.redeem(again.held);
      await emil.membership.sync();
      assert.ok(emil.membership.has(dora.signer.peer));
      await dora.wallet.sync();
      const lines = await dora.wallet.history(10);
      assert.equal(
        lines.map(({ slot }) => slot),
        [`G/${again.id}/0`, `G/${id}/0`],
      );
      assert.is(peekSlot((await dora.wallet.certificate(`G/${id}/0`))!), `G/${id}/0`);
      await ledger.audit();
    },
    { overrides: invited },
  ));

/** Half of the notaries have voted for the invite's end when it is redeemed: recovery decides one of the two. */
async function contested(ledger: TestLedger, guest: TestNode): Promise<void> {
  const { first, nodes, info: network } = ledger;
  const { id, held } = await invite(ledger, week(5n * FLOP));
  const body = { net: network.net, invite: id, use: 0, amount: 5n * FLOP };
  const values = [seal(revokeKind, body, first.signer).bytes];
  for (const node of nodes.slice(0, 2)) {
    const isVoted = async () => {
      const answer = await node.notary!.round!({ type: 'propose', epoch: 0, values }, guest.signer.peer);
      return answer.type === 'round' && answer.outcomes[0]?.type === 'signed';
    };
    // It has to know of the money first.
    await waitFor(isVoted, 'a vote for the end', 10_000);
  }
  const outcome = await code(guest.membership.redeem(held));
  assert.ok(['RESOLVED', 'INVITE_REVOKED'].includes(outcome), outcome);
  assert.is(free(guest), outcome === 'RESOLVED' ? 5n * FLOP : 0n);
  await first.invitations.revoke(id, new AbortController().signal);
}

test('four notaries: two who redeem one invite at once each get a use of it', () =>
  withLedger(
    async ledger => {
      const [dora, emil, fred] = [await ledger.add(), await ledger.add(), await ledger.add()];
      const { id, held } = await invite(ledger, week(5n * FLOP, 2));
      await Promise.all([dora.membership.redeem(held), emil.membership.redeem(held)]);
      assert.equal([free(dora), free(emil)], [5n * FLOP, 5n * FLOP]);
      assert.is(await code(fred.membership.redeem(held)), 'INVITE_EXHAUSTED');
      const signal = new AbortController().signal;
      assert.equal(await ledger.first.invitations.revoke(id, signal), { returned: 0n });
      await ledger.first.invitations.remove(dora.signer.peer, signal);
      const isGone = async () => {
        await fred.membership.sync();
        return !fred.membership.has(dora.signer.peer) && fred.membership.has(emil.signer.peer);
      };
      await waitFor(isGone, 'the removal to be known', 10_000);
      await contested(ledger, fred);
      await ledger.first.wallet.sync();
      const total = ledger.nodes.reduce((sum, node) => sum + free(node), 0n);
      assert.is(total, ledger.info.supply);
      await ledger.audit();
    },
    { overrides: invited, notaries: 4 },
  ));

test.run();
