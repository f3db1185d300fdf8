/** What goes over the network, recorded by tcpdump, and what can be read in it. */
import { readFileSync } from "node:fs";
import { programOf } from "../../scripts/lib/debian.ts";
import { lastingPort } from "../../scripts/lib/ports.ts";
import { closeLater } from "../support/closing.ts";
import { until } from "../support/until.ts";

/** More than a packet of the loopback interface has, so that each is recorded whole. */
const PACKET_BYTES_MAX = 70_000;
/** Of the kernel, for packets that tcpdump has not read yet: far more than a test sends at once. */
const BUFFER_KIB = 64 * 1024;

export interface Capture {
  /** Ends the recording; gives all packets, headers included. */
  end(): Promise<Buffer>;
}

/** Records what goes over the loopback interface from or to these TCP ports, from when this resolves. */
export async function startCapture(file: string, ports: readonly number[]): Promise<Capture> {
  const endPort = await lastingPort();
  const filter = [...ports, endPort].map((port) => `tcp port ${port}`).join(" or ");
  // Packets are written one by one, as they come.
  const words = [
    "-i",
    "lo",
    "-Z",
    "root",
    "--immediate-mode",
    "-U",
    "-B",
    `${BUFFER_KIB}`,
    "-s",
    `${PACKET_BYTES_MAX}`,
  ];
  const child = closeLater(
    Bun.spawn([programOf("tcpdump"), ...words, "-w", file, filter], { stdio: ["ignore", "ignore", "pipe"] }),
    async (child) => {
      child.kill("SIGKILL");
      await child.exited;
    },
  );
  let said = "";
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const bytes of child.stderr) said += decoder.decode(bytes, { stream: true });
  })();
  await until("tcpdump listens", () => {
    if (child.exitCode !== null) throw new Error(`tcpdump ended: ${said}`);
    return said.includes("listening on");
  });
  const end = async () => {
    await sendTo(endPort, END);
    await until("the last packet is recorded", () => readFileSync(file).includes(END));
    child.kill("SIGINT");
    await Promise.all([child.exited, reading]);
    if (!/\b0 packets dropped by kernel/.test(said)) throw new Error(`the recording has holes: ${said}`);
    return readFileSync(file);
  };
  return { end };
}

/** Sent after everything else: when it is recorded, everything is. */
const END = "here ends the recording";

async function sendTo(port: number, text: string): Promise<void> {
  const hostname = "127.0.0.1";
  const socket = { data: () => undefined };
  closeLater(Bun.listen({ hostname, port, socket }), (listener) => listener.stop(true));
  (await Bun.connect({ hostname, port, socket })).end(text);
}

/** The forms in which something may be sent. */
function formsOf(secret: Uint8Array): Buffer[] {
  const bytes = Buffer.from(secret);
  const texts = [bytes.toString("hex"), bytes.toString("base64url"), bytes.toString("base64").replace(/=+$/, "")];
  // The last digit of base64 depends on what follows.
  return [bytes, ...texts.map((text) => Buffer.from(text.slice(0, -1)))];
}

/** Names of the secrets that are in the recording, in whatever form. */
export function foundIn(recorded: Buffer, secrets: Readonly<Record<string, Uint8Array | string>>): string[] {
  return Object.entries(secrets).flatMap(([name, secret]) => {
    const bytes = typeof secret === "string" ? new TextEncoder().encode(secret) : secret;
    return formsOf(bytes).some((form) => recorded.includes(form)) ? [name] : [];
  });
}
