/** A frame handler that writes down what it is told. */
import { FrameDecoder, type FrameFault, type FrameHandler } from "../../src/wire/frame.ts";
import type { Message } from "../../src/wire/messages.ts";

/** Takes every message, as if each reply were awaited. */
export const welcoming = { checkFrame: () => undefined, checkHeader: () => undefined } as const;

export class Recorder implements FrameHandler {
  readonly messages: { readonly message: Message; readonly payload: Uint8Array | undefined }[] = [];
  readonly faults: FrameFault[] = [];
  /** Bytes of payload buffers that were asked for. */
  payloadBytesAllocated = 0;
  readonly takePayloads: boolean;
  readonly decoder = new FrameDecoder(this);

  readonly checkFrame: FrameHandler["checkFrame"];
  readonly checkHeader: FrameHandler["checkHeader"];

  constructor({
    takePayloads = true,
    checkFrame = welcoming.checkFrame,
    checkHeader = welcoming.checkHeader,
  }: Partial<Pick<FrameHandler, "checkFrame" | "checkHeader">> & { readonly takePayloads?: boolean } = {}) {
    this.takePayloads = takePayloads;
    this.checkFrame = checkFrame;
    this.checkHeader = checkHeader;
  }

  openPayload(_message: Message, payloadBytes: number): Uint8Array | undefined {
    if (!this.takePayloads) return undefined;
    this.payloadBytesAllocated += payloadBytes;
    return new Uint8Array(payloadBytes);
  }

  handleMessage(message: Message, payload: Uint8Array | undefined): void {
    this.messages.push({ message, payload });
  }

  handleFault(fault: FrameFault): void {
    this.faults.push(fault);
  }

  /** What came of these pieces of a stream. */
  static of(...pieces: readonly Uint8Array[]): Recorder {
    const recorder = new Recorder();
    for (const piece of pieces) recorder.decoder.push(piece);
    return recorder;
  }
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

/** A frame of any id, header bytes and payload, valid or not; lengths can be made to lie. */
export function rawFrame(
  id: number,
  header: Uint8Array,
  payload = new Uint8Array(),
  { headerBytes = header.length, bodyBytes = header.length + payload.length } = {},
): Uint8Array {
  const prefix = new Uint8Array(8);
  const view = new DataView(prefix.buffer);
  view.setUint32(0, bodyBytes);
  view.setUint32(4, ((id << 24) | headerBytes) >>> 0);
  return concat(prefix, header, payload);
}
