import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Committee,
  committeeOf,
  committeeWith,
  LONG_MS,
  type Member,
  nextNotaries,
  notePresence,
  outlook,
  type Presence,
} from '../../src/ledger/index.ts';
import * as s from './support.ts';

const test = suite('ledger: automatic notaries');
const RUNS = 10_000;
const HOUR_MS = 3_600_000;
const PEOPLE = Array.from({ length: 12 }, (_, i) => s.person(`machine ${i}`).peer);
const founder = s.admin.peer;
const genesis = committeeOf(s.genesis);

const members = fc
  .tuple(fc.subarray(PEOPLE), fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 12, maxLength: 12 }))
  .map(([accounts, invites]): Member[] => [
    { account: founder, invite: null },
    ...accounts.map((account, i) => ({ account, invite: `invite ${invites[i]}` })),
  ]);
/** Those before, too, and whoever: some by hand. */
const committee = fc
  .array(fc.subarray([founder, ...PEOPLE], { minLength: 1, maxLength: 7 }), { maxLength: 3 })
  .map(changes => changes.reduce<Committee>((before, keys) => committeeWith(keys, before), genesis));
const hours = fc.integer({ min: 0, max: 48 }).map(n => n * HOUR_MS);
const presence = fc
  .array(
    fc.record({
      epoch: fc.integer({ min: 0, max: 3 }),
      hereMs: hours,
      awayMs: fc.oneof(fc.constant(0), hours),
    }),
    {
      minLength: 12,
      maxLength: 12,
    },
  )
  .map(seen => new Map<string, Presence>(PEOPLE.map((peer, i) => [peer, seen[i]!])));

test('nobody becomes a notary but members who were here for a day, one of each invite, at 3, 4 and 7; nobody goes but who stays away', () => {
  let changes = 0;
  const roll = fc.record({ committee, members, presence });
  const property = fc.property(roll, given => {
    assert.ok(outlook(given).length > 0);
    const next = nextNotaries(given);
    if (!next) return;
    changes++;
    const { keys, epoch, quorum } = given.committee;
    const seenOf = (peer: string) => {
      const seen = given.presence.get(peer);
      return seen?.epoch === epoch ? seen : undefined;
    };
    assert.ok(keys.filter(peer => (seenOf(peer)?.awayMs ?? 0) === 0).length >= quorum, 'a quorum is here');
    assert.is(new Set(next).size, next.length);
    const added = next.filter(peer => !keys.includes(peer));
    const removed = keys.filter(peer => !next.includes(peer));
    if (removed.length > 0) {
      assert.equal([removed.length, added.length], [1, 1]);
      assert.ok(seenOf(removed[0]!)!.awayMs >= LONG_MS);
    } else assert.ok(next.length > keys.length && [3, 4, 7].includes(next.length));
    const inviteOf = (peer: string) =>
      given.members.flatMap(({ account, invite }) => (account === peer && invite ? [invite] : []));
    const invites = [...added, ...keys].flatMap(inviteOf);
    for (const peer of added) {
      const seen = seenOf(peer)!;
      assert.ok(seen.hereMs >= LONG_MS && seen.awayMs === 0);
      const [invite] = inviteOf(peer);
      assert.is(invites.filter(other => other === invite).length, 1, 'one of an invite');
      for (let past: Committee | null = given.committee; past; past = past.previous)
        assert.not(past.keys.includes(peer), 'never one before');
    }
  });
  fc.assert(property, { numRuns: RUNS });
  assert.ok(changes > RUNS / 100, `${changes} changes`);
});

/** Each hour for each machine: here or not. */
const weeks = fc.array(fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }), {
  minLength: 24,
  maxLength: 240,
});

test('over weeks of coming and going: a day between changes, never fewer, and seven where so many stay', () => {
  const everybody = PEOPLE.map((account, i) => ({ account, invite: `invite ${i}` }));
  const property = fc.property(weeks, fc.integer({ min: 0, max: 12 }), (schedule, steady) => {
    const seen = new Map<string, Presence>();
    let now = genesis;
    let changedAt = Number.NEGATIVE_INFINITY;
    for (const [hour, here] of schedule.entries()) {
      for (const [i, peer] of PEOPLE.entries()) {
        // What is left over is here for two hours of three, which is too little.
        const isHere = i < steady || (here[i]! && hour % 3 > 0);
        seen.set(peer, notePresence(seen.get(peer), { epoch: now.epoch, isHere, elapsedMs: HOUR_MS }));
      }
      const next = nextNotaries({ committee: now, members: everybody, presence: seen });
      if (!next) continue;
      assert.ok(hour - changedAt >= LONG_MS / HOUR_MS && next.length >= now.keys.length);
      assert.ok(next.every(peer => peer === founder || PEOPLE.indexOf(peer) < steady));
      changedAt = hour;
      now = committeeWith(next, now);
    }
    const wanted = [7, 4, 3].find(size => size <= steady + 1) ?? 1;
    assert.is(now.keys.length, wanted);
    if (wanted === 7)
      assert.match(outlook({ committee: now, members: everybody, presence: seen }), /replaced/);
  });
  fc.assert(property, { numRuns: 300 });
});

test.run();
