/**
 * Where the process begins and ends. The version is told before anything else is loaded, so that it comes at once.
 */
import { VERSION } from "./core/version.ts";

const argv = process.argv.slice(2);

if (argv.length === 1 && (argv[0] === "--version" || argv[0] === "-v")) {
  process.stdout.write(`${VERSION}\n`);
} else {
  const { runCli } = await import("./cli/cli.ts");
  process.exit(await runCli(argv));
}
