/** The real system, with something in it that a test replaces. */
import type { Clock } from "../../src/core/clock.ts";
import type { LookUp, Names } from "../../src/net/host-name.ts";
import { realSystem, type System, systemClock } from "../../src/net/system.ts";

export const { random } = realSystem;

/** A machine whose name service is this one. */
export function systemWith(lookUp: LookUp): System {
  return { ...realSystem, lookUp };
}

/** Just what names are looked up with. */
export function namesBy(lookUp: LookUp): Names {
  return { clock: systemClock, lookUp };
}

/** A clock that shows what the test says, both in wall time and from anywhere; its timers are the real ones. */
export function clockAt(now: () => number): Clock {
  return { ...systemClock, now, wallTime: now };
}
