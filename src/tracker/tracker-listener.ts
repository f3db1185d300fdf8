/** Where the tracker listens (F6): a command moves it while the role runs. */
import { type Address, type HostPort, hostOf, isLoopback, portOf } from "../core/address.ts";
import { P2pfsError } from "../core/errors.ts";
import { isForOthers } from "../core/listening.ts";
import type { Log } from "../core/log.ts";
import type { GreetingRates } from "../net/arrivals.ts";
import { connectionsWithin } from "../net/descriptors.ts";
import type { Endpoint, Listener, ListenOptions } from "../net/endpoint.ts";
import type { TrackerEvents } from "./events.ts";

/** A tracker opens few other files. */
const CONNECTIONS_MAX = 8192;
const SHARE_OF_DESCRIPTORS = 0.5;

export interface TrackerListenerOptions extends Pick<Required<ListenOptions>, "conductOf" | "onConnection"> {
  readonly endpoint: Endpoint;
  /** Whether connections are those of a swarm's members, over TLS. */
  readonly isOfSwarm: () => boolean;
  /** Whether a tracker of no swarm may let other machines in. */
  readonly insecure: boolean;
  /** Called before the tracker listens where other machines reach it. */
  readonly beyondLoopback: () => Promise<void>;
  /** Open at the same time. Default: CONNECTIONS_MAX, or fewer where descriptors are scarce. */
  readonly connectionsMax: number | undefined;
  /** Default: that of every listener. */
  readonly greetingRates: GreetingRates | undefined;
  readonly log: Log;
  readonly events: TrackerEvents;
  /** Called when the tracker stops listening at an address; resolves when the sessions there have ended. */
  readonly closeConnections: () => Promise<void>;
}

export class TrackerListener {
  readonly #options: TrackerListenerOptions;
  #listener: Listener | undefined;
  /** Resolves when the last `start` has ended; the next one waits for it. */
  #starting: Promise<unknown> = Promise.resolve();
  #isClosing = false;

  constructor(options: TrackerListenerOptions) {
    this.#options = options;
  }

  /** Undefined while the tracker does not listen. */
  get address(): Address | undefined {
    return this.#listener?.address;
  }

  /** The same address changes nothing; another one replaces the listener and closes connections. */
  start(where: HostPort): Promise<Address> {
    const started = this.#starting.then(() => this.#listenOn(where));
    this.#starting = started.catch(() => {});
    return started;
  }

  /** Later connections are shown the new certificate. */
  renew(): void {
    this.#listener?.renew();
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#starting;
    await this.#stop();
  }

  async #listenOn({ host, port }: HostPort): Promise<Address> {
    const { endpoint, isOfSwarm, insecure, beyondLoopback, log, events } = this.#options;
    if (this.#isClosing) throw new P2pfsError("not_running", "the tracker is ending");
    const ip = await endpoint.resolve(host);
    if (!isLoopback(ip)) await beyondLoopback();
    const isForOtherMachines = isForOthers(ip, {
      isOpen: isOfSwarm() || insecure,
      refusal: `${host} is reachable from other machines`,
      hint:
        "make a swarm first (`p2pfs swarm create`); --insecure lets every machine join, list and fetch, without " +
        "encryption",
    });
    const current = this.address;
    if (current !== undefined && hostOf(current) === ip && (port === 0 || portOf(current) === port)) return current;
    const address = await this.#move(ip, port);
    log("info", "listening on {address}", { address });
    if (isForOtherMachines && !isOfSwarm())
      log("warn", "--insecure: nothing is encrypted, and whoever reaches this port can join, list and fetch", {
        address,
      });
    events.emit({ type: "listening", address });
    return address;
  }

  async #move(ip: string, port: number): Promise<Address> {
    const current = this.address;
    // The same port on another host may overlap with the old listener: close that first, and reopen it on failure.
    const overlaps = current !== undefined && portOf(current) === port;
    if (overlaps) await this.#stop();
    try {
      const listener = await this.#open(ip, port);
      if (!overlaps) await this.#stop();
      this.#listener = listener;
      return listener.address;
    } catch (thrown) {
      if (overlaps) this.#listener = await this.#open(hostOf(current), portOf(current));
      throw thrown;
    }
  }

  #open(host: string, port: number): Promise<Listener> {
    const { endpoint, connectionsMax, greetingRates, log, conductOf, onConnection } = this.#options;
    return endpoint.listen({
      flag: "start HOST PORT",
      host,
      port,
      connectionsMax: connectionsMax ?? connectionsWithin(CONNECTIONS_MAX, SHARE_OF_DESCRIPTORS),
      greetingRates,
      conductOf,
      crowded: (ip) => log("warn", "{ip} connects too often; some of its connections are closed", { ip }),
      full: (max) =>
        log("warn", "all {connections_max} places for connections are taken; the idlest have to go", {
          connections_max: max,
        }),
      onConnection,
    });
  }

  async #stop(): Promise<void> {
    this.#listener?.stop();
    this.#listener = undefined;
    await this.#options.closeConnections();
  }
}
