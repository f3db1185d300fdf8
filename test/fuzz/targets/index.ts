/** Everything that takes bytes or texts of others: every decoder, parser, route and session. */
import type { Target } from "../target.ts";
import { adminTargets } from "./admin.ts";
import { cliTargets } from "./cli.ts";
import { coreTargets } from "./core.ts";
import { diskTargets } from "./disk.ts";
import { hostileTargets } from "./hostile.ts";
import { identityTargets } from "./identity.ts";
import { sessionTargets } from "./sessions.ts";
import { wireTargets } from "./wire.ts";

export const targets: readonly Target[] = [
  ...wireTargets,
  ...coreTargets,
  ...identityTargets,
  ...diskTargets,
  ...cliTargets,
  ...sessionTargets,
  ...hostileTargets,
  ...adminTargets,
];
