/** Child process of data-folder.test.ts: takes the folder named in argv, says so, and stays until it is killed. */
import { openDataFolder } from "../../src/store/data-folder.ts";

const folder = openDataFolder({ role: "peer", flag: process.argv[2] });
process.stdout.write("locked\n");
setInterval(() => folder.path, 60_000);
