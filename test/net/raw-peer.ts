/** The other end of a connection without a Connection: sends HELLO, and after that the bytes that a test writes. */
import type { Socket } from "bun";
import { type Address, hostOf, makeAddress, portOf } from "../../src/core/address.ts";
import { encodeFrame, FRAME_PREFIX_BYTES } from "../../src/wire/frame.ts";
import { PROTOCOL_VERSION, type Role } from "../../src/wire/messages.ts";

/** Listens from the start; accepts one connection, or dials one. */
export function rawPeer(role: Role, agent = "raw") {
  let socket: Socket | undefined;
  let bytes: Buffer = Buffer.alloc(0);
  let unsent: Uint8Array = new Uint8Array(0);
  const ended = Promise.withResolvers<void>();
  const flush = () => {
    if (socket === undefined || unsent.length === 0) return;
    unsent = unsent.subarray(Math.max(0, socket.write(unsent)));
  };
  const handlers = {
    open(opened: Socket) {
      socket = opened;
      write(encodeFrame({ type: "HELLO", version: PROTOCOL_VERSION, role, agent, address: null }));
    },
    data(_socket: Socket, piece: Buffer) {
      bytes = Buffer.concat([bytes, piece]);
    },
    drain: flush,
    close: () => ended.resolve(),
  };
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: handlers });

  /** Resolves when the kernel has taken the bytes. */
  async function write(more: Uint8Array): Promise<void> {
    unsent = Buffer.concat([unsent, more]);
    for (flush(); unsent.length > 0; flush()) await Bun.sleep(1);
  }

  /** Ids of the frames received so far. */
  function ids(): number[] {
    const found: number[] = [];
    for (let offset = 0; offset + FRAME_PREFIX_BYTES <= bytes.length; ) {
      found.push(bytes[offset + 4]!);
      offset += FRAME_PREFIX_BYTES + bytes.readUInt32BE(offset);
    }
    return found;
  }

  return {
    address: makeAddress("127.0.0.1", listener.port),
    closed: ended.promise,
    write,
    async connect(to: Address): Promise<void> {
      await Bun.connect({ hostname: hostOf(to), port: portOf(to), socket: handlers });
    },
    /** Resolves when `times` frames of this id have been received. */
    async received(id: number, times = 1): Promise<void> {
      while (ids().filter((each) => each === id).length < times) await Bun.sleep(1);
    },
    stop(): void {
      listener.stop(true);
      socket?.end();
    },
  };
}
