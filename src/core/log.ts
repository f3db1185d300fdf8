/** Where a role tells what happens; who reads it is up to whoever opened the role. */
export type Log = (level: "info" | "warn" | "error", message: string) => void;
