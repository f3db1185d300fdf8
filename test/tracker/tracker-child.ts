/** Child process of tracker.test.ts: a tracker in the folder named in argv; it prints its address. */
import { openTracker } from "./test-peer.ts";

const { tracker } = await openTracker(process.argv[2]!);
process.stdout.write(`${await tracker.start({ host: "127.0.0.1", port: 0 })}\n`);
