/** The first message of a handshake of TLS, as a new member sends it: for those that do not go on. */
import { connect } from "node:tls";

export function clientHello(): Promise<Uint8Array> {
  const { promise, resolve } = Promise.withResolvers<Uint8Array>();
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        resolve(bytes.slice());
        socket.end();
        listener.stop();
      },
    },
  });
  const client = connect({ host: "127.0.0.1", port: listener.port, servername: "member.p2pfs", minVersion: "TLSv1.3" });
  client.on("error", () => undefined);
  return promise;
}
