/** Ports at which a role can start again: nobody else has them meanwhile. */

/** Outside of the ports that Linux gives to whoever asks for any. */
const LASTING_PORTS = { first: 10_000, count: 20_000 };
const TRIES_MAX = 100;

/**
 * A free TCP port of 127.0.0.1 that no other call gets, here or in another process, until this process ends. The UDP
 * socket of the same number is what reserves it.
 */
export async function lastingPort(): Promise<number> {
  let cause: unknown;
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const at = { hostname: "127.0.0.1", port: LASTING_PORTS.first + Math.floor(Math.random() * LASTING_PORTS.count) };
    let reservation: { close(): void; unref(): void } | undefined;
    try {
      reservation = await Bun.udpSocket(at);
      reservation.unref();
      Bun.listen({ ...at, socket: { data: () => undefined } }).stop(true);
      return at.port;
    } catch (thrown) {
      // Taken, most likely.
      cause = thrown;
      reservation?.close();
    }
  }
  throw new Error(`no free port in ${TRIES_MAX} tries`, { cause });
}
