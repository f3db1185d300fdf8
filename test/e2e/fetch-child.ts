/** A process to be killed while it fetches: reports how many chunks have arrived and how many of them count, then the receipt. */
import { type Address, hostOf, portOf } from "../../src/core/address.ts";
import { Peer } from "../../src/peer/peer.ts";

const POLL_MS = 1;

const [tracker, what = "", destination = "", filesFolder = ""] = process.argv.slice(2);
const address = tracker as Address;
const peer = await Peer.open({
  dataFolder: undefined,
  filesFolder,
  listen: { host: "127.0.0.1", port: 0 },
  advertise: undefined,
  tracker: { host: hostOf(address), port: portOf(address) },
  insecure: false,
  log: () => undefined,
});
const job = await peer.fetch({ what, destination });
let reported = "";
const report = () => {
  const arrived = job.shares().reduce((sum, { chunks }) => sum + chunks, 0);
  const line = JSON.stringify({ arrived, chunks: job.progress().chunks });
  if (line !== reported) process.stdout.write(`${line}\n`);
  reported = line;
};
report();
const timer = setInterval(report, POLL_MS);
const receipt = await job.done;
clearInterval(timer);
process.stdout.write(`${JSON.stringify({ receipt })}\n`);
await peer.close();
process.exit(0);
