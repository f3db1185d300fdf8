/** The programs that p2pfs is measured against. Each says how to install it where it is missing. */
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

/** Why the rival cannot run here; undefined where it can. */
export function missingCurlAndNginx(): string | undefined {
  const missing = ["curl", "nginx"].filter((program) => Bun.which(program) === null);
  return missing.length === 0 ? undefined : `not installed: ${missing.join(", ")} (Debian: curl, nginx-light)`;
}

export function missingLibtorrent(): string | undefined {
  const found = Bun.spawnSync(["/usr/bin/python3", "-c", "import libtorrent"]).exitCode === 0;
  return found ? undefined : "not installed: libtorrent for Python (Debian: python3-libtorrent)";
}

export interface WebServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** nginx serving `root`, its own files in `folder`. */
export async function startNginx(root: string, folder: string): Promise<WebServer> {
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const config = join(folder, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const user = process.getuid?.() === 0 ? "user root;" : "";
  writeFileSync(
    config,
    `${user} worker_processes auto; pid ${folder}/pid; error_log ${folder}/error.log; events {}
     http { access_log off; sendfile on; tcp_nopush on; ${temporary.join(" ")}
            server { listen 127.0.0.1:${port}; root ${root}; } }\n`,
  );
  const child = Bun.spawn(["nginx", "-p", folder, "-c", config, "-e", `${folder}/error.log`, "-g", "daemon off;"], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const url = `http://127.0.0.1:${port}`;
  for (const deadline = performance.now() + 5000; ; await Bun.sleep(20)) {
    if (
      await fetch(url).then(
        () => true,
        () => false,
      )
    )
      break;
    if (child.exitCode !== null || performance.now() > deadline) throw new Error("nginx did not start");
  }
  return {
    url,
    async stop() {
      child.kill("SIGTERM");
      await child.exited;
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (typeof address === "object" && address !== null ? resolve(address.port) : reject()));
    });
  });
}

/**
 * Seconds that libtorrent takes to give the file to `leechers` at once, from their start to the last one's end.
 * `uploadLimits`: bytes a second of the seeder and each leecher; with them, sessions are up before the time is taken.
 */
export async function runLibtorrent(
  file: string,
  folder: string,
  leechers: number,
  uploadLimits?: readonly number[],
): Promise<number> {
  const driver = join(import.meta.dir, "../bench-libtorrent.py");
  const limits = uploadLimits === undefined ? [] : [uploadLimits.join(",")];
  const child = Bun.spawn(["/usr/bin/python3", driver, file, folder, `${leechers}`, ...limits], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const output = await child.stdout.text();
  if ((await child.exited) !== 0) throw new Error("libtorrent's driver failed");
  return Number(output);
}
