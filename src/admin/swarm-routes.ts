/** The commands on the members of a tracker's swarm, as routes. */
import { Hono } from "hono";
import * as v from "valibot";
import { HOST_NAME_BYTES_MAX, INVITATION_MS_MAX, INVITATION_MS_MIN, MEMBERS_MAX } from "../core/limits.ts";
import { HostNameSchema } from "../core/model.ts";
import { DAY_MS } from "../core/units.ts";
import type { Tracker } from "../tracker/tracker.ts";
import { InvitationInfoSchema, InvitedSchema, MemberInfoSchema, SwarmInfoSchema } from "../tracker/types.ts";
import { CursorSchema, checked, command, cursorOf, mutable, pageOf, view } from "./http.ts";

const INVITATION_MS = DAY_MS;
const LABEL_BYTES_MAX = 200;

/** Without anything, one machine, as a peer, within a day. */
export const InviteSchema = v.object({
  /** Machines that can join. */
  uses: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(MEMBERS_MAX)), 1),
  for_ms: v.optional(
    v.pipe(v.number(), v.integer(), v.minValue(INVITATION_MS_MIN), v.maxValue(INVITATION_MS_MAX)),
    INVITATION_MS,
  ),
  role: v.optional(v.picklist(["peer", "tracker"]), "peer"),
  /** Whether somebody has to approve each of them. */
  approve: v.optional(v.boolean(), false),
  label: v.optional(v.pipe(v.string(), v.maxBytes(LABEL_BYTES_MAX)), ""),
});

const SignSchema = v.object({
  /** PKCS #10 as PEM. */
  request: v.pipe(v.string(), v.maxBytes(4096)),
  role: v.optional(v.picklist(["peer", "tracker"]), "peer"),
  /** By which the machine is listed. */
  name: v.optional(v.pipe(HostNameSchema, v.minLength(1)), "signed by hand"),
});
const SignedSchema = v.object({ certificate: v.string() });

/** Id or name. */
const WhoSchema = v.object({ member: v.pipe(v.string(), v.minLength(1), v.maxBytes(HOST_NAME_BYTES_MAX)) });
const NamedSchema = v.object({ id: v.string(), name: v.string() });
const RemovedSchema = v.object({
  ...NamedSchema.entries,
  /** The id of the one by which it came, where that can still be used. */
  invitation: v.nullable(v.string()),
});
const InvitationIdSchema = v.object({ id: v.pipe(v.string(), v.regex(/^[0-9a-f]{8}$/, "expected 8 hex digits")) });

export function swarmRoutes(tracker: Tracker) {
  return new Hono()
    .get("/api/swarm", command("swarm_show", "The swarm of this tracker", SwarmInfoSchema), (context) =>
      context.json(tracker.membership.show()),
    )
    .post(
      "/api/swarm/invitations",
      command("swarm_invite", "Make an invitation: one line to run on the other machine", InvitedSchema),
      checked("json", InviteSchema),
      async (context) => context.json(await tracker.membership.invite(context.req.valid("json"))),
    )
    .get(
      "/api/swarm/invitations",
      command("swarm_invites", "The invitations by which machines can still join", v.array(InvitationInfoSchema)),
      async (context) => context.json(await tracker.membership.invitations()),
    )
    .delete(
      "/api/swarm/invitations/:id",
      view("swarm_end_invite", "Nobody can join by this invitation any more", InvitationIdSchema),
      checked("param", InvitationIdSchema),
      async (context) => {
        const { id } = context.req.valid("param");
        await tracker.membership.endInvitation(id);
        return context.json({ id });
      },
    )
    .get(
      "/api/swarm/members",
      command("swarm_members", "Every member, and every machine that waits to be approved", pageOf(MemberInfoSchema)),
      checked("query", CursorSchema),
      async (context) => context.json(mutable(await tracker.membership.list(cursorOf(context.req.valid("query"))))),
    )
    .post(
      "/api/swarm/sign",
      command("swarm_sign", "Certify a machine without a network path, by its request", SignedSchema),
      checked("json", SignSchema),
      async (context) => {
        const { request, role, name } = context.req.valid("json");
        return context.json(await tracker.membership.sign(request, role, name));
      },
    )
    .post(
      "/api/swarm/approve",
      command("swarm_approve", "Let a machine in that waits", NamedSchema),
      checked("json", WhoSchema),
      async (context) => context.json(await tracker.membership.approve(context.req.valid("json").member)),
    )
    .post(
      "/api/swarm/revoke",
      command("swarm_revoke", "Remove a member; its connections are closed everywhere", RemovedSchema),
      checked("json", WhoSchema),
      async (context) => context.json(await tracker.membership.revoke(context.req.valid("json").member)),
    );
}
