/** How many there are of each kind; a kind without any takes no memory. */
export class Tally<Kind> {
  readonly #counts = new Map<Kind, number>();

  of(kind: Kind): number {
    return this.#counts.get(kind) ?? 0;
  }

  add(kind: Kind): void {
    this.#counts.set(kind, this.of(kind) + 1);
  }

  remove(kind: Kind): void {
    const count = this.of(kind);
    if (count > 1) this.#counts.set(kind, count - 1);
    else this.#counts.delete(kind);
  }
}
