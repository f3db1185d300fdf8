/** A request without one clear Host is malformed: over real sockets, as no client would send it. */
import { expect, test } from "bun:test";
import { readAdminFile } from "../../src/store/data-folder.ts";
import { openForAll } from "../support/closing.ts";
import { AdminRoles } from "../support/roles.ts";

let port: number;
let token: string;
openForAll(async () => {
  const { trackerData } = await AdminRoles.open();
  const admin = readAdminFile(trackerData)!;
  port = Number(new URL(admin.url).port);
  token = admin.token;
});

/** Status and body of the answer to a request with these header lines. */
async function answerTo(path: string, version: string, ...hosts: readonly string[]) {
  const { promise, resolve } = Promise.withResolvers<void>();
  let text = "";
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_socket, bytes) => {
        text += bytes.toString();
      },
      close: () => resolve(),
    },
  });
  const lines = [
    `GET ${path} HTTP/${version}`,
    ...hosts,
    `Authorization: Bearer ${token}`,
    "Connection: close",
    "",
    "",
  ];
  socket.write(lines.join("\r\n"));
  await promise;
  return { status: Number(text.split(" ", 2)[1]), text };
}

const malformed: readonly (readonly [what: string, version: string, hosts: readonly string[]])[] = [
  ["missing", "1.1", []],
  ["missing, in HTTP/1.0", "1.0", []],
  ["empty", "1.1", ["Host: "]],
  ["doubled, the allowed one first", "1.1", ["Host: 127.0.0.1", "Host: evil.example"]],
  ["doubled, the allowed one last", "1.1", ["Host: evil.example", "Host: 127.0.0.1"]],
  ["doubled and equal", "1.1", ["Host: 127.0.0.1", "Host: 127.0.0.1"]],
  ["two in one line", "1.1", ["Host: 127.0.0.1, evil.example"]],
  ["a URL", "1.1", ["Host: http://127.0.0.1/"]],
  ["with a space", "1.1", ["Host: 127.0.0.1 evil"]],
  ["with a path", "1.1", ["Host: 127.0.0.1/x"]],
  ["with a fragment", "1.1", ["Host: 127.0.0.1#x"]],
  ["with a user", "1.1", ["Host: user@127.0.0.1"]],
  ["with a port that is none", "1.1", ["Host: 127.0.0.1:http"]],
  ["with a port beyond ports", "1.1", ["Host: 127.0.0.1:99999"]],
  ["an IPv6 literal that is not closed", "1.1", ["Host: [::1"]],
  ["no ASCII", "1.1", ["Host: m\u00fcnchen"]],
];

test.each(malformed)("a Host that is %s is answered with 400 and nothing else", async (_what, version, hosts) => {
  for (const path of ["/api/status", "/", "/healthz", "/nothing"]) {
    const { status, text } = await answerTo(path, version, ...hosts);
    expect([path, status]).toEqual([path, 400]);
    expect(text).not.toContain("internal");
    expect(text).not.toContain("data_folder");
  }
});

test("a Host of this machine is answered, with and without a port", async () => {
  for (const host of ["127.0.0.1", `127.0.0.1:${port}`, "localhost", `[::1]:${port}`, "LOCALHOST:80"])
    expect([host, (await answerTo("/api/status", "1.1", `Host: ${host}`)).status]).toEqual([host, 200]);
  expect((await answerTo("/api/status", "1.0", "Host: localhost")).status).toBe(200);
  expect((await answerTo("/api/status", "1.1", "Host: evil.example")).status).toBe(403);
});
