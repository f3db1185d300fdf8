/** What comes over the network before it is a message. */
import { Unpackr } from "msgpackr";
import { encodeFrame, FRAME_PREFIX_BYTES } from "../../../src/wire/frame.ts";
import { scanHeader } from "../../../src/wire/header-scan.ts";
import { readHeaderValues } from "../../../src/wire/header-values.ts";
import { messageTable } from "../../../src/wire/messages.ts";
import { Recorder } from "../../wire/recorder.ts";
import { mutatedStream, sampleFrames } from "../stream.ts";
import { assert, assertEqual, confined, encode, inWords, type Target } from "../target.ts";

const PIECES_MAX = 1000;

const frames: Target = {
  name: "frames",
  inputs: sampleFrames,
  mutate: mutatedStream,
  run(input) {
    const whole = confined(input, (bytes) => Recorder.of(bytes));
    const pieces = new Recorder();
    const pieceBytes = 1 + Math.floor(input.length / PIECES_MAX);
    for (let start = 0; start < input.length; start += pieceBytes)
      pieces.decoder.push(input.slice(start, start + pieceBytes));
    assert(Bun.deepEquals(whole, pieces), "the pieces matter in which bytes arrive");
    const { messages, faults, payloadBytesAllocated } = whole;
    for (const { message, payload } of messages) {
      const { payloadBytesMax } = messageTable[message.type];
      assert((payload?.length ?? 0) <= payloadBytesMax, `a payload of ${payload?.length} bytes in ${message.type}`);
      const again = Recorder.of(encodeFrame(message)).messages;
      assertEqual(again, [{ message, payload: undefined }], "a message changes when it is sent on");
    }
    // Of the last payload there may be more to come.
    const bytesMax = input.length + Math.max(...Object.values(messageTable).map((row) => row.payloadBytesMax));
    assert(payloadBytesAllocated <= bytesMax, `${payloadBytesAllocated} bytes were made room for`);
    const isFatalLast = faults.every(({ fatal }, at) => !fatal || at === faults.length - 1);
    assert(isFatalLast, "frames are read after a fatal fault");
    return [...messages.map(({ message }) => message.type), ...faults.map(({ message }) => inWords(message))]
      .slice(-1)
      .join(", ");
  },
};

const bounds = { valuesMax: 500, containersMax: 40 };
const reference = new Unpackr({ useRecords: false, int64AsType: "number", mapsAsObjects: true });

/** Of each kind of MessagePack value one, at the bounds of its type where it has any. */
const kinds =
  "c0 c2 c3 c4020000 c5000100 c60000000100 ca3f800000 cabf800000 cb3ff0000000000000 ccff cdffff ceffffffff cf0000000100000000 " +
  "d080 d18000 d280000000 d38000000000000000 d07f d17fff d27fffffff d3000000007fffffff d90161 da000161 db0000000161 " +
  "dc000101 dd0000000101 de0001a16101 df00000001a16101 e0 7f 90 80 a0";

const header: Target = {
  name: "header",
  inputs: () => [
    ...sampleFrames().map((frame) => {
      const headerBytes = new DataView(frame.buffer, frame.byteOffset).getUint32(4) & 0xff_ffff;
      return frame.slice(FRAME_PREFIX_BYTES, FRAME_PREFIX_BYTES + headerBytes);
    }),
    ...kinds
      .split(" ")
      .flatMap((value) => ["request", "a"].map((field) => withField(field, Uint8Array.fromHex(value)))),
  ],
  run(input) {
    const { fault, request } = confined(input, (bytes) => scanHeader(bytes, bounds));
    assert(request === null || (Number.isInteger(request) && request >= 0), `the request id ${request}`);
    if (fault !== undefined) return inWords(fault);
    const values = confined(input, readHeaderValues) as Record<string, unknown>;
    const { values: count, containers } = counted(values);
    assert(
      count <= bounds.valuesMax && containers <= bounds.containersMax,
      `${count} values in ${containers} containers`,
    );
    const isRequestId = typeof values.request === "number" && values.request === request;
    assert(request === null || isRequestId, `the request id is ${request} and then ${values.request}`);
    if (!decodeText(input).includes("__proto__"))
      assertEqual(values, plain(reference.unpack(input)), "another decoder reads it differently");
    return `${Object.keys(values).length} fields`;
  },
};

/** A header with one field. */
function withField(name: string, value: Uint8Array): Uint8Array {
  return Uint8Array.of(0x81, 0xa0 | name.length, ...encode(name), ...value);
}

const decodeText = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);

/** Binary values as ours are: bytes, not a Node buffer. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, plain(field)]));
}

function counted(value: unknown): { values: number; containers: number } {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return { values: 1, containers: 0 };
  const inner = Object.values(value).map(counted);
  return {
    values: 1 + inner.reduce((sum, { values }) => sum + values, 0),
    containers: 1 + inner.reduce((sum, { containers }) => sum + containers, 0),
  };
}

export const wireTargets = [frames, header];
