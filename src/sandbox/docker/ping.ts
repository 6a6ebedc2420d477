import { request } from 'node:http';

/** The engine's own answer to a ping takes 1 ms; a loaded one took a second. */
const PING_MS = 5_000;

/** Whether an engine answers, asked without its client, which takes 0.3 s to load. */
export function dockerAnswers(socketPath: string): Promise<boolean> {
  return new Promise(resolve => {
    const asked = request({ socketPath, path: '/_ping', timeout: PING_MS }, response => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.on('timeout', () => asked.destroy());
    asked.on('error', () => resolve(false));
    asked.on('close', () => resolve(false));
    asked.end();
  });
}
