/** The log of a role; whoever opens the role decides where it goes. */
export type Log = (level: "info" | "warn" | "error", message: string) => void;
