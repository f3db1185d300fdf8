/** Gets a manifest from any holder. The content id verifies the manifest, so no holder has to be trusted. */
import type { Clock } from "../core/clock.ts";
import { type Deadline, msLeft } from "../core/deadline.ts";
import { asP2pfsError, P2pfsError } from "../core/errors.ts";
import { MANIFEST_BYTES_MAX } from "../core/limits.ts";
import { type ContentId, contentIdOf, decodeManifest } from "../core/manifest.ts";
import { digest } from "../disk/blake3.ts";
import { mayDelayRequests } from "../net/backlog.ts";
import type { Connection } from "../net/connection.ts";
import type { Holder } from "./directory.ts";
import type { Neighbours } from "./neighbours.ts";

/** Holders asked at first. */
const ASKED_AT_ONCE = 3;
/** After each such time without a manifest one more holder is asked, since the first ones may be silent. */
const PATIENCE_MS = 100;
/** Time for the payload once the reply's header has arrived. */
const PAYLOAD_MS_MAX = 30_000;

/**
 * Canonical bytes of the content's manifest. A holder whose answer has not begun by the deadline is given up (R5).
 * Throws `integrity` where a holder sent a damaged manifest and none sent a right one, otherwise `no_holder`.
 */
export async function fetchManifest(
  contentId: ContentId,
  holders: readonly Holder[],
  neighbours: Neighbours,
  deadline: Deadline,
  clock: Clock,
): Promise<Uint8Array> {
  if (holders.length === 0) throw noHolder(contentId);
  const queue = [...holders];
  const errors: P2pfsError[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  let asked = 0;
  const askNext = () => {
    const holder = msLeft(deadline, clock.now()) > 0 ? queue.shift() : undefined;
    if (holder === undefined) {
      if (asked === 0) reject(errors.find((error) => error.code === "integrity") ?? noHolder(contentId, errors[0]));
      return;
    }
    asked++;
    askOne(contentId, holder, neighbours, deadline, clock).then(resolve, (thrown) => {
      errors.push(asP2pfsError(thrown));
      asked--;
      askNext();
    });
  };
  for (let turn = 0; turn < ASKED_AT_ONCE; turn++) askNext();
  const timer = clock.every(PATIENCE_MS, askNext);
  try {
    return await promise;
  } finally {
    timer.cancel();
    queue.length = 0;
  }
}

async function askOne(
  contentId: ContentId,
  { address, peer_id: peerId }: Holder,
  neighbours: Neighbours,
  deadline: Deadline,
  clock: Clock,
): Promise<Uint8Array> {
  const { promise: silent, reject } = Promise.withResolvers<never>();
  const giveUp = () => reject(new P2pfsError("unreachable", `${address} did not send the manifest in time`));
  const untilDeadlineMs = msLeft(deadline, clock.now());
  let timer = clock.after(untilDeadlineMs, giveUp);
  let apart: Promise<Connection> | undefined;
  const openPayload = (_message: unknown, bytes: number) => {
    timer.cancel();
    timer = clock.after(PAYLOAD_MS_MAX, giveUp);
    return bytes <= MANIFEST_BYTES_MAX ? new Uint8Array(bytes) : undefined;
  };
  try {
    const { connection: shared } = await Promise.race([neighbours.reach(address, peerId), silent]);
    // At a low limit on sending, a chunk takes seconds.
    if (mayDelayRequests(shared)) apart = neighbours.reachApart(address, peerId);
    const connection = apart === undefined ? shared : await Promise.race([apart, silent]);
    // A holder that never answers is not waited for on its connection either, so that it does not keep its place.
    const timeoutMs = untilDeadlineMs + PAYLOAD_MS_MAX;
    const { reply } = connection.ask({ type: "REQUEST_MANIFEST", content_id: contentId }, { openPayload, timeoutMs });
    const { payload } = await Promise.race([reply, silent]);
    if (payload === undefined || contentIdOf(payload, digest) !== contentId)
      throw new P2pfsError("integrity", `the manifest that ${address} sent is not that of the content`);
    decodeManifest(payload);
    return payload;
  } finally {
    timer.cancel();
    apart?.then(
      (connection) => connection.close(),
      () => {},
    );
  }
}

function noHolder(contentId: ContentId, cause?: P2pfsError): P2pfsError {
  const why = cause === undefined ? "" : ` (${cause.message})`;
  return new P2pfsError("no_holder", `no reachable peer holds the content ${contentId.slice(0, 12)}${why}`, { cause });
}
