/**
 * The log of a role: entries of a level, a message and fields. Whoever opens the role decides where they go, and from
 * which level on. Nothing secret goes into it: no token, no secret of a peer, no peer id (which is like a password).
 */

/** From the least important to the most. */
export const logLevels = ["debug", "info", "warn", "error"] as const;

export type LogLevel = (typeof logLevels)[number];

export type LogValue = string | number | boolean;

/** In snake_case, with the names that the JSON of commands and events has. */
export type LogFields = Readonly<Record<string, LogValue>>;

/** `tracker` and `address` in "joined the tracker at {tracker} as {address}". */
type NamesIn<Message extends string> = Message extends `${string}{${infer Name}}${infer Rest}`
  ? Name | NamesIn<Rest>
  : never;

/** The message names fields in braces, which must be given. Other fields are for structured output only. */
export type Log = <Message extends string>(
  level: LogLevel,
  message: Message,
  fields: LogFields & Readonly<Record<NamesIn<Message>, LogValue>>,
) => void;

/** The message with its fields filled in. Text of others is in it as it came: whoever prints it escapes it. */
export function messageOf(message: string, fields: LogFields): string {
  return message.replace(/\{(\w+)\}/g, (braced, name: string) =>
    Object.hasOwn(fields, name) ? String(fields[name]) : braced,
  );
}

/** The entry without its level, for people: the message, and the stack of a defect in the same line. */
export function textOf(message: string, fields: LogFields): string {
  const { stack } = fields;
  const text = messageOf(message, fields);
  return stack === undefined ? text : `${text}: ${String(stack).replaceAll(/\s*\n\s*/g, " ")}`;
}
