import { EventEmitter } from 'node:events';

/** A typed event bus: `Events` maps an event's name to its payload. */
export interface Bus<Events extends object> {
  emit<K extends keyof Events & string>(name: K, payload: Events[K]): void;
  /** Returns what takes the listener off again. */
  on<K extends keyof Events & string>(name: K, listener: (payload: Events[K]) => void): () => void;
}

/** `maxListeners` bounds followers of one event; more than that is a leak, and warned about by Node. */
export function createBus<Events extends object>(maxListeners = 1000): Bus<Events> {
  const emitter = new EventEmitter().setMaxListeners(maxListeners);
  return {
    emit(name, payload) {
      emitter.emit(name, payload);
    },
    on(name, listener) {
      emitter.on(name, listener);
      return () => emitter.off(name, listener);
    },
  };
}
