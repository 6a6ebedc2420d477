import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Box } from '../../src/sandbox/box.ts';
import { createHolder } from '../../src/sandbox/holder.ts';
import { createUids } from '../../src/sandbox/uids.ts';
import { rejection } from './conformance.ts';

const test = suite('sandbox: what a box holds');

const needs = { diskBytes: 1 };
const box = { id: 'box' } as Box;

/** A holder with a single user id, and what it does, in order. */
function world({ noExtras = false } = {}) {
  const steps: string[] = [];
  const said = (step: string) => void steps.push(step);
  const hold = createHolder({
    uids: createUids({ uidFirst: 7, uidCount: 1 }),
    leftovers: {
      hold: name => said(`hold ${name}`),
      release: async (name, held) => said(`remove ${name} ${held?.id}`),
    },
    async takeExtras(_needs, uid) {
      if (noExtras) throw new Error('no disk');
      said(`extras of ${uid}`);
      return { release: async () => said('extras back') };
    },
  });
  return { hold, steps };
}

test('all is given back once, after the box is gone; its user id serves the next', async () => {
  const { hold, steps } = world();
  for (const name of ['a', 'b']) {
    const awake = await hold({ name, needs, create: async uid => ({ ...box, id: `${uid}` }) });
    await Promise.all([awake.release(), awake.release()]);
  }
  const of = (name: string) => [`hold ${name}`, 'extras of 7', `remove ${name} 7`, 'extras back'];
  assert.equal(steps, [...of('a'), ...of('b')]);
});

test('a box that needs nothing beside the usual takes nothing', async () => {
  const { hold, steps } = world();
  const { release } = await hold({ name: 'a', needs: undefined, create: async () => box });
  await release();
  assert.equal(steps, ['hold a', 'remove a box']);
});

test('where no box can be made all is back before the error is told', async () => {
  const { hold, steps } = world();
  const create = async () => Promise.reject(new Error('no box'));
  for (let i = 0; i < 2; i++)
    assert.match(String(await rejection(hold({ name: 'a', needs, create }))), 'no box');
  const once = ['hold a', 'extras of 7', 'remove a undefined', 'extras back'];
  assert.equal(steps, [...once, ...once]);
});

test('where there is nothing beside the usual to take no box is made', async () => {
  const { hold, steps } = world({ noExtras: true });
  const create = (): Promise<Box> => Promise.reject(new Error('a box was made'));
  for (let i = 0; i < 2; i++)
    assert.match(String(await rejection(hold({ name: 'a', needs, create }))), 'no disk');
  assert.equal(steps, ['hold a', 'remove a undefined', 'hold a', 'remove a undefined']);
});

test.run();
