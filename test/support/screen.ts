/**
 * As much of a terminal as it takes to know what a person sees: text, carriage return, line feed, and the sequences
 * that move the cursor and clear. Colours and modes are passed over.
 */
const ESCAPE = "\u001b";
const SEQUENCE = new RegExp(`^${ESCAPE}\\[([?]?)([\\d;]*)([A-Za-z])`);

export class Screen {
  readonly #columns: number;
  readonly #rows: string[][] = [[]];
  #row = 0;
  #column = 0;
  /** The beginning of a sequence whose end has not come yet. */
  #pending = "";

  constructor(columns: number) {
    this.#columns = columns;
  }

  /** All that was ever shown, blanks at the ends of lines taken away. */
  get text(): string {
    return this.#rows
      .map((row) =>
        Array.from(row, (sign) => sign ?? " ")
          .join("")
          .trimEnd(),
      )
      .join("\n")
      .trimEnd();
  }

  /** The line that the cursor is in. */
  get line(): string {
    return Array.from(this.#rows[this.#row]!, (sign) => sign ?? " ").join("");
  }

  write(text: string): void {
    let rest = this.#pending + text;
    this.#pending = "";
    while (rest !== "") {
      if (rest[0] !== ESCAPE) {
        const sign = String.fromCodePoint(rest.codePointAt(0)!);
        this.#put(sign);
        rest = rest.slice(sign.length);
        continue;
      }
      if (/^.[^[]/s.test(rest)) {
        rest = rest.slice(2);
        continue;
      }
      const sequence = SEQUENCE.exec(rest);
      if (sequence === null) {
        this.#pending = rest;
        return;
      }
      if (sequence[1] === "") this.#obey(sequence[3]!, sequence[2]!.split(";").map(Number));
      rest = rest.slice(sequence[0].length);
    }
  }

  #put(sign: string): void {
    if (sign === "\r") this.#column = 0;
    else if (sign === "\b") this.#column = Math.max(0, this.#column - 1);
    else if (sign === "\n") this.#goTo(this.#row + 1);
    else if (sign >= " ") {
      if (this.#column === this.#columns) {
        this.#goTo(this.#row + 1);
        this.#column = 0;
      }
      this.#rows[this.#row]![this.#column++] = sign;
    }
  }

  #obey(command: string, [first = 0]: readonly number[]): void {
    const count = Math.max(1, first);
    if (command === "A") this.#goTo(Math.max(0, this.#row - count));
    else if (command === "B") this.#goTo(this.#row + count);
    else if (command === "C") this.#column += count;
    else if (command === "D") this.#column = Math.max(0, this.#column - count);
    else if (command === "G") this.#column = count - 1;
    else if (command === "J" && first === 0) {
      this.#rows[this.#row]!.length = Math.min(this.#rows[this.#row]!.length, this.#column);
      this.#rows.length = this.#row + 1;
    } else if (command === "K" && first === 0) {
      this.#rows[this.#row]!.length = Math.min(this.#rows[this.#row]!.length, this.#column);
    } else if (command === "K") this.#rows[this.#row] = [];
  }

  #goTo(row: number): void {
    while (this.#rows.length <= row) this.#rows.push([]);
    this.#row = row;
  }
}
