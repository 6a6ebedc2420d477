import { type Closing, readClosing, readLock } from '../../ledger/index.ts';
import { CodedError, codeOf, messageOf } from '../../util/index.ts';
import { acceptKind, open, type RequesterMessage, sameBytes } from '../../wire/index.ts';
import { receiveWithin, type WorkerChannel } from '../channel.ts';
import { heartbeat } from '../heartbeat.ts';
import type { WorkerComponents } from './interface.ts';
import type { Lease } from './lease.ts';

/** What no honest requester sends. */
const BREACHES = /^(WIRE_|PROTOCOL$|LOCK_DIFFERS$|LOCK_NOT_FOUND$|CERTIFICATE_INVALID$)/;

type Settled = Extract<RequesterMessage, { type: 'settled' }>;

/**
 * Serves one requester's stream of one lease until it closes, breaks, or stays silent for as long as a dead peer would.
 * The lease goes on without it.
 */
export async function serveSession(
  components: WorkerComponents,
  lease: Lease,
  channel: WorkerChannel,
): Promise<void> {
  const { clock, options, logger, network } = components;
  const stopBeating = heartbeat(clock, options.heartbeatMs, () => channel.send({ type: 'heartbeat' }));
  try {
    for (;;) {
      const message = await receiveWithin(channel, options.deadMs, { clock });
      if (message === undefined) break;
      if (message.type === 'taken') lease.outlet.taken(channel, message.bytes);
      else if (await react(components, lease, message)) break;
    }
  } catch (error) {
    const code = codeOf(error);
    if (BREACHES.test(code)) network.report(channel.peer, code, 10);
    logger.debug({ task: lease.key, code, error: messageOf(error) }, 'requester’s stream ended');
    channel.abort(error instanceof Error ? error : new Error(messageOf(error)));
  } finally {
    stopBeating();
    lease.outlet.detach(channel);
  }
}

/** True when nothing more is to be said. */
async function react(
  components: WorkerComponents,
  lease: Lease,
  message: RequesterMessage,
): Promise<boolean> {
  switch (message.type) {
    case 'heartbeat':
      return false;
    case 'locked':
      await lease.lockArrived(message.lock);
      return false;
    case 'input':
      await lease.inputs?.take(message);
      return false;
    case 'cancel':
      lease.stop.abort(new CodedError({ code: 'CANCELLED' }, message.reason || 'cancelled by its requester'));
      return false;
    case 'rejected':
      // it is of no use any more: what still runs stops, what was attested is claimed
      lease.contested = true;
      if (lease.record.state === 'accepted')
        lease.stop.abort(
          new CodedError({ code: 'SUPERSEDED' }, message.reason || 'it is not wanted any more'),
        );
      components.logger.warn(
        { task: lease.key, code: message.code, reason: message.reason },
        'result was rejected',
      );
      return false;
    case 'settled':
      await settle(components, lease, message);
      return true;
    default:
      throw new CodedError(
        { code: 'PROTOCOL', type: message.type },
        'an award on a stream that has one already',
      );
  }
}

/** The deal is closed: by a certificate where there is a lock, by the requester's word alone where nothing is owed. */
async function settle(
  { settlement, genesis }: WorkerComponents,
  lease: Lease,
  message: Settled,
): Promise<void> {
  const { record } = lease;
  if (record.state === 'settled') return;
  if (record.state === 'accepted')
    throw new CodedError({ code: 'PROTOCOL' }, 'a task that is still under way was called settled');
  let closing: Closing | null = null;
  if (record.lock) {
    if (!message.close)
      throw new CodedError({ code: 'PROTOCOL' }, 'a paid task was called settled without a certificate');
    await settlement.follow([message.close], record.requester);
    const { committee } = settlement;
    closing = readClosing(message.close, readLock(record.lock, record, committee), committee);
    await settlement.observe([message.close]);
  }
  const accept = message.accept ? open(acceptKind, message.accept) : undefined;
  const valid = accept?.signers.includes(record.requester) && sameBytes(accept.body.net, genesis.net);
  await lease.settle({ accept: valid ? message.accept : null, close: message.close }, closing);
}
