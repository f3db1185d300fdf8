/** What a fuzz target is, and what targets are written with. */
import { type ErrorCode, P2pfsError } from "../../src/core/errors.ts";

export interface Target {
  readonly name: string;
  /** Valid inputs, from which others are made. */
  inputs(): Promise<Uint8Array[]> | Uint8Array[];
  /** Another input, where bytes changed at random would seldom reach what is to be tested. */
  mutate?(input: Uint8Array, how: Mutation): Uint8Array;
  /**
   * Throws where something that has to hold does not. Returns, in a few words, what came of the input: inputs with a new
   * outcome are worth changing further.
   */
  run(input: Uint8Array): Promise<string> | string;
  /** Called after the last run. */
  end?(): Promise<void> | void;
  /** Each execution is a piece of a running system: there are fewer of them in a given time. */
  readonly isSlow?: boolean;
  /** Its inputs are about keys that are made anew in each run: they mean nothing to another one. */
  readonly hasOwnKeys?: boolean;
}

/** With what an input is changed. */
export interface Mutation {
  readonly random: () => number;
  /** Inputs from which parts can be taken. */
  readonly others: readonly Uint8Array[];
  /** Texts that the program knows. */
  readonly words: readonly Uint8Array[];
}

export const encode = (text: string) => new TextEncoder().encode(text);
export const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

export function assert(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

export function assertEqual(found: unknown, expected: unknown, what: string): void {
  if (!Bun.deepEquals(found, expected))
    throw new Error(`${what}: ${Bun.inspect(found)} instead of ${Bun.inspect(expected)}`);
}

/** The value that was read, or why the input was refused. */
export type Reading<Value> =
  | { readonly value: Value; readonly outcome: "accepted" }
  | { readonly value?: undefined; readonly outcome: string };

/** What is read of an input; anything but a P2pfsError of one of these codes is thrown on. */
export function reading<Value>(codes: readonly ErrorCode[], read: () => Value): Reading<Value> {
  try {
    return { value: read(), outcome: "accepted" };
  } catch (thrown) {
    return { outcome: refusal(codes, thrown) };
  }
}

/** As `reading`, of what is read asynchronously. */
export async function readingLater<Value>(
  codes: readonly ErrorCode[],
  read: () => Promise<Value>,
): Promise<Reading<Value>> {
  try {
    return { value: await read(), outcome: "accepted" };
  } catch (thrown) {
    return { outcome: refusal(codes, thrown) };
  }
}

function refusal(codes: readonly ErrorCode[], thrown: unknown): string {
  if (!(thrown instanceof P2pfsError) || !codes.includes(thrown.code)) throw thrown;
  assert(thrown.message !== "", "a refusal has no reason");
  return `${thrown.code}: ${inWords(thrown.message)}`;
}

/** The message up to what it quotes, and without numbers, so that each kind of it counts once. */
export function inWords(message: string): string {
  return message
    .replace(/["'`].*$/su, "…")
    .replace(/\d+/g, "N")
    .slice(0, 80);
}

/**
 * Reads the input three times, between other bytes each time: what comes of it has to depend on the input's own bytes
 * alone, and they have to stay as they are.
 */
export function confined<Value>(input: Uint8Array, read: (bytes: Uint8Array) => Value): Value {
  const values = [0x00, 0x81, 0xff].map((around) => {
    const memory = new Uint8Array(input.length + 2 * MARGIN_BYTES).fill(around);
    memory.set(input, MARGIN_BYTES);
    const value = read(memory.subarray(MARGIN_BYTES, MARGIN_BYTES + input.length));
    const isUnchanged = memory.every(
      (byte, at) =>
        byte === (at < MARGIN_BYTES || at >= MARGIN_BYTES + input.length ? around : input[at - MARGIN_BYTES]),
    );
    assert(isUnchanged, "the decoder writes to its input");
    return value;
  });
  for (const value of values.slice(1)) assert(Bun.deepEquals(value, values[0]), "the decoder reads beyond its input");
  return values[0]!;
}

const MARGIN_BYTES = 40;
