/** A line between a peer and its tracker that can be cut: nothing gets through any more, and nobody is told. */
import { connect, createServer, type Server, type Socket } from "node:net";

export class Line {
  readonly address: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  static async open(tracker: string): Promise<Line> {
    const server = createServer();
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(0, "127.0.0.1", resolve);
    await promise;
    return new Line(server, tracker);
  }

  private constructor(server: Server, tracker: string) {
    const [host, port] = tracker.split(":");
    this.#server = server;
    this.address = `127.0.0.1:${(server.address() as { port: number }).port}`;
    server.on("connection", (near) => {
      const far = connect({ host: host!, port: Number(port) });
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.on("data", (bytes) => to.write(bytes));
        from.on("close", () => to.destroy());
        from.on("error", () => to.destroy());
      }
    });
  }

  /** The connections that there are fall silent and stay open; new ones work. */
  cut(): Socket[] {
    const cut = [...this.#sockets];
    for (const socket of cut) {
      socket.removeAllListeners("data");
      socket.pause();
    }
    return cut;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
