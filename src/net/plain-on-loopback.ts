/** S8: connections that are not encrypted stay on this machine. */
import { formatHostPort, type HostPort, hostOf, isLoopback, portOf } from "../core/address.ts";
import { P2pfsError } from "../core/errors.ts";
import type { Network } from "./transport.ts";

/** The same network, on which listening and connecting beyond loopback without credentials is `refused`. */
export function plainOnLoopback(network: Network): Network {
  return {
    listen(ip, port, accept, credentials) {
      if (credentials === undefined && !isLoopback(ip)) throw beyondLoopback({ host: ip, port });
      return network.listen(ip, port, accept, credentials);
    },
    async connect(address, accept, credentials) {
      const [host, port] = [hostOf(address), portOf(address)];
      if (credentials === undefined && !isLoopback(host)) throw beyondLoopback({ host, port });
      return network.connect(address, accept, credentials);
    },
  };
}

function beyondLoopback(place: HostPort): P2pfsError {
  return new P2pfsError("refused", `${formatHostPort(place)} is on another machine, and this role is of no swarm`, {
    hint: "join a swarm with `p2pfs swarm join`; or --insecure connects without encryption, to everybody",
  });
}
