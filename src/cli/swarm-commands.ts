/** Names, arguments, flags and help of `p2pfs swarm`. Their actions are loaded when they run. */
import { buildCommand, buildRouteMap, type RouteMap } from "@stricli/core";
import { commandBuilders, type Place } from "./command-builders.ts";
import type { CliContext, CommonFlags } from "./context.ts";
import { localPaths } from "./proposals.ts";
import { parseCount, parseText, parseValidity } from "./settings.ts";
import type { InviteFlags, InvitesFlags, JoinFlags, RequestFlags, SignFlags } from "./swarm-actions.ts";

const actions = () => import("./swarm-actions.ts");

const roleFlag = {
  kind: "enum",
  values: ["peer", "tracker"],
  brief: "What the machine becomes: a peer without it, or a tracker",
  optional: true,
} as const;

const memberParameter = { brief: "Name or id of `swarm members`", placeholder: "MEMBER", parse: parseText } as const;
const fileParameter = (brief: string) =>
  ({ brief, placeholder: "FILE", parse: parseText, proposeCompletions: localPaths }) as const;

/** On the members of a running tracker's swarm: the same on the command line and in the tracker's shell. */
function trackerCommandsAt(place: Place) {
  const { plain, flags, explained } = commandBuilders(place, "swarm");
  return {
    invite: buildCommand<InviteFlags, [], CliContext>({
      docs: {
        brief: "Print one line to run on a machine that is to join",
        fullDescription: explained(
          "Print one line to run on a machine that is to join this tracker's swarm: once and within 24 hours, unless " +
            "said otherwise. Whoever has the line can join by it, so send it as you would send a password.",
          ["invite", "invite --uses 30 --for 2h --label 'room 12'", "invite --approve"],
        ),
      },
      parameters: {
        flags: {
          ...flags,
          uses: {
            kind: "parsed",
            parse: parseCount,
            brief: "Machines that can join, 1 without it",
            placeholder: "N",
            optional: true,
          },
          for: {
            kind: "parsed",
            parse: parseValidity,
            brief: "How long it works: 30m, 2h, 7d; 24h without it",
            placeholder: "DURATION",
            optional: true,
          },
          role: roleFlag,
          approve: {
            kind: "boolean",
            brief: "Each machine waits until `swarm approve` lets it in",
            optional: true,
            withNegated: false,
          },
          label: {
            kind: "parsed",
            parse: parseText,
            brief: "A note for `swarm invites`",
            placeholder: "TEXT",
            optional: true,
          },
        },
      },
      loader: async () => (await actions()).invite,
    }),
    invites: buildCommand<InvitesFlags, [], CliContext>({
      docs: {
        brief: "List the invitations by which machines can still join",
        fullDescription: explained("List the invitations by which machines can still join, or end one of them.", [
          "invites",
          "invites --revoke 5c0ffee1",
        ]),
      },
      parameters: {
        flags: {
          ...flags,
          revoke: {
            kind: "parsed",
            parse: parseText,
            brief: "End the invitation of this id",
            placeholder: "ID",
            optional: true,
          },
        },
      },
      loader: async () => (await actions()).invites,
    }),
    members: plain("members", "List every member, and every machine that waits", async () => (await actions()).members),
    approve: buildCommand<CommonFlags, [member: string], CliContext>({
      docs: {
        brief: "Let a machine in that waits",
        fullDescription: explained("Let a machine in that waits since it joined by an invitation with --approve.", [
          "approve ben-pc",
        ]),
      },
      parameters: { flags, positional: { kind: "tuple", parameters: [memberParameter] } },
      loader: async () => (await actions()).approve,
    }),
    revoke: buildCommand<CommonFlags, [member: string], CliContext>({
      docs: {
        brief: "Remove a member",
        fullDescription: explained(
          "Remove a member: within a minute nobody of the swarm talks to it any more, running transfers included.",
          ["revoke ben-pc"],
        ),
      },
      parameters: { flags, positional: { kind: "tuple", parameters: [memberParameter] } },
      loader: async () => (await actions()).revoke,
    }),
    sign: buildCommand<SignFlags, [file: string], CliContext>({
      docs: {
        brief: "Certify a machine by its request, without a network path to it",
        fullDescription: explained(
          "Certify a machine by the request that `swarm request` has printed there. What this prints goes back to it, for " +
            "`swarm accept`.",
          ["sign ben.csr > ben.crt"],
        ),
      },
      parameters: {
        flags: {
          ...flags,
          role: roleFlag,
          name: {
            kind: "parsed",
            parse: parseText,
            brief: "By which `swarm members` lists it",
            placeholder: "NAME",
            optional: true,
          },
        },
        positional: { kind: "tuple", parameters: [fileParameter("The request")] },
      },
      loader: async () => (await actions()).sign,
    }),
  };
}

/** On this machine's own membership: its role does not run meanwhile. */
function ownCommands() {
  const { plain, flags, explained } = commandBuilders("command line", "swarm");
  return {
    create: buildCommand<CommonFlags, [name?: string], CliContext>({
      docs: {
        brief: "Make a swarm in the data folder of a tracker",
        fullDescription: explained(
          "Make a swarm in the data folder of a tracker, called like this machine without NAME. `p2pfs tracker start --open` " +
            "does it by itself where there is none.",
          ["create", "create lab"],
        ),
      },
      parameters: {
        flags,
        positional: {
          kind: "tuple",
          parameters: [{ brief: "Letters and digits", placeholder: "NAME", parse: parseText, optional: true }],
        },
      },
      loader: async () => (await actions()).create,
    }),
    join: buildCommand<JoinFlags, [token?: string], CliContext>({
      docs: {
        brief: "Join a swarm by an invitation",
        fullDescription: explained(
          "Join a swarm by an invitation: the word that `swarm invite` prints, or - to read it from standard input, or " +
            "P2PFS_JOIN. `p2pfs peer start` then needs no address.",
          ["join p2pfs-join:AQ…", "join - < invitation.txt"],
        ),
      },
      parameters: {
        flags: {
          ...flags,
          name: {
            kind: "parsed",
            parse: parseText,
            brief: "By which others list this machine (P2PFS_NAME), its host name without it",
            placeholder: "NAME",
            optional: true,
          },
        },
        positional: {
          kind: "tuple",
          parameters: [{ brief: "The invitation, or -", placeholder: "TOKEN", parse: parseText, optional: true }],
        },
      },
      loader: async () => (await actions()).join,
    }),
    leave: plain(
      "leave",
      "Leave the swarm; what is shared and fetched stays on this machine",
      async () => (await actions()).leave,
    ),
    show: plain("show", "Show which swarm this machine belongs to", async () => (await actions()).show),
    request: buildCommand<RequestFlags, [], CliContext>({
      docs: {
        brief: "Print a request for a certificate, for `swarm sign` at the tracker",
        fullDescription: explained(
          "Print a request for a certificate, for `swarm sign` at the tracker. The key stays in this machine's data folder.",
          ["request > ben.csr"],
        ),
      },
      parameters: { flags: { ...flags, role: roleFlag } },
      loader: async () => (await actions()).request,
    }),
    accept: buildCommand<CommonFlags, [file: string], CliContext>({
      docs: {
        brief: "Join by the certificate that `swarm sign` has printed",
        fullDescription: explained("Join by the certificate that `swarm sign` has printed at the tracker.", [
          "accept ben.crt",
        ]),
      },
      parameters: { flags, positional: { kind: "tuple", parameters: [fileParameter("The certificate")] } },
      loader: async () => (await actions()).accept,
    }),
  };
}

function shellShow() {
  const { plain } = commandBuilders("shell", "swarm");
  return plain("show", "Show this tracker's swarm", async () => (await actions()).showSwarm);
}

export function swarmCommands(): RouteMap<CliContext> {
  return buildRouteMap({
    docs: {
      brief: "Make a private swarm, let machines in, or join one",
      fullDescription:
        "The members of a private swarm know one another by certificates: all that they send is encrypted, and nobody else " +
        "can list or fetch. A machine joins by one line.",
    },
    routes: { ...ownCommands(), ...trackerCommandsAt("command line") },
  });
}

export function swarmShellCommands(): RouteMap<CliContext> {
  return buildRouteMap({
    docs: { brief: "Let machines into this tracker's swarm, or remove them" },
    routes: { show: shellShow(), ...trackerCommandsAt("shell") },
  });
}
