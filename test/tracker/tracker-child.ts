/** Child process of tracker.test.ts: a tracker in the folder named in argv; it prints its address. */
import { openDataFolder } from "../../src/store/data-folder.ts";
import { Tracker } from "../../src/tracker/tracker.ts";

const dataFolder = openDataFolder({ role: "tracker", flag: process.argv[2] });
const tracker = await Tracker.open({ dataFolder, log: () => undefined });
process.stdout.write(`${await tracker.start({ host: "127.0.0.1", port: 0 })}\n`);
