/**
 * The table of all errors, with every form that an error takes outside of the process: the name in JSON, the number on the
 * wire, the HTTP status, the exit code of the command line. Code throws `P2pfsError` with a name from this table; it is
 * translated where it leaves the process.
 */

interface ErrorRow {
  /** Number in an ERROR frame; never reused. */
  readonly wireId: number;
  readonly httpStatus: 400 | 401 | 404 | 409 | 500 | 502 | 503 | 507;
  readonly exitCode: number;
  /** Whether the same request may succeed a little later by itself. */
  readonly retryable: boolean;
  /** What the user can do, unless the error has a hint of its own. */
  readonly hint: string;
}

export const errorTable = {
  internal: row(1, 500, 1, false, "this is a defect in p2pfs; please report it with the log of the role"),
  usage: row(2, 400, 2, false, "see --help"),
  not_running: row(3, 503, 3, false, "start the role first, or name its data folder with --data"),
  not_found: row(4, 404, 4, false, "list-files shows what is shared"),
  ambiguous: row(5, 409, 5, false, "add the IP and PORT of the peer that you mean"),
  refused: row(6, 409, 6, false, "see the rules in the README"),
  tracker_unreachable: row(7, 503, 7, true, "check that the tracker runs, and its address (--tracker HOST:PORT)"),
  no_holder: row(8, 503, 8, true, "fetch again when a holder is online; what has arrived is kept"),
  integrity: row(9, 502, 9, false, "the holders offer damaged data; fetch again when another holder is online"),
  disk: row(10, 507, 10, false, "check free space and permissions of the folder"),
  unauthorised: row(11, 401, 11, false, "use the token in admin.json of the data folder"),
  cancelled: row(12, 409, 12, false, "fetch again to go on where it stopped"),
  already_running: row(13, 409, 13, false, "choose another data folder (--data) or port"),
  protocol: row(14, 400, 1, false, "the other side broke the protocol; check that both run the same version"),
  unknown_message: row(15, 400, 1, false, "the other side runs an older version"),
  unreachable: row(17, 503, 4, true, "check that it runs and that no firewall is in between"),
  busy: row(16, 503, 1, true, "the other side is at its limit; try again in a moment"),
} as const satisfies Record<string, ErrorRow>;

function row(
  wireId: number,
  httpStatus: ErrorRow["httpStatus"],
  exitCode: number,
  retryable: boolean,
  hint: string,
): ErrorRow {
  return { wireId, httpStatus, exitCode, retryable, hint };
}

export type ErrorCode = keyof typeof errorTable;

export const errorCodes = Object.keys(errorTable) as readonly ErrorCode[];

interface P2pfsErrorOptions extends ErrorOptions {
  /** Overrides the table's hint. */
  readonly hint?: string | undefined;
  /** The reference by which the log has the stack of a defect. */
  readonly reference?: string;
}

/** An operating error: it can happen to correct code, and is reported to the user by code, message and hint. */
export class P2pfsError extends Error {
  override readonly name = "P2pfsError";
  readonly code: ErrorCode;
  readonly hint: string;
  /** The hint, where it is not that of the table. */
  readonly ownHint: string | undefined;
  readonly reference: string | undefined;

  constructor(code: ErrorCode, message: string, options: P2pfsErrorOptions = {}) {
    super(message, options);
    this.code = code;
    this.hint = options.hint ?? errorTable[code].hint;
    this.ownHint = options.hint;
    this.reference = options.reference;
  }
}

/** A thrown value as a P2pfsError. Any other value is a defect and becomes `internal`. */
export function asP2pfsError(thrown: unknown): P2pfsError {
  if (thrown instanceof P2pfsError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new P2pfsError("internal", message, { cause: thrown });
}

export function isErrorCode(name: string): name is ErrorCode {
  return Object.hasOwn(errorTable, name);
}

/** The JSON form of an error, in HTTP bodies and for --json. */
export interface ErrorBody {
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly hint: string };
}

export function errorBody(error: P2pfsError): ErrorBody {
  return { error: { code: error.code, message: error.message, hint: error.hint } };
}
