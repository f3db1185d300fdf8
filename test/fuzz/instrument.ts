/**
 * Coverage of the program under test. No coverage-guided fuzzer works here: Jazzer.js 4.0 is made for Node.js; its add-on
 * asks for glibc 2.38, which Debian 12 has not, so that neither Bun nor Node loads it there, and under Node another TLS
 * library would read the certificates than the one that Bun has. JavaScriptCore counts blocks for whole runs, not for one
 * call. So the modules of `src` get a counter in every block and branch when they are loaded, and the fuzzer keeps the
 * inputs that reach a new one, or a known one far more often, as AFL does. The texts in the modules are its dictionary.
 *
 * Has to be made before the first module of `src` is loaded.
 */
import { join } from "node:path";
import { type Node, parse } from "acorn";
import { plugin } from "bun";

const SOURCES = join(import.meta.dir, "../../src/");
const COUNTERS_MAX = 1 << 16;
const WORD_LENGTH_MAX = 64;
/** By this name the modules find their counters. */
const GLOBAL = "p2pfsFuzzCounters";

export class Coverage {
  readonly #counters = new Uint8Array(COUNTERS_MAX);
  readonly #words = new Uint32Array(this.#counters.buffer);
  /** Of each counter, the magnitudes that were seen, one bit each. */
  readonly #seen = new Uint8Array(COUNTERS_MAX);
  readonly #dictionary = new Set<string>();
  #used = 0;
  #blocks = 0;

  constructor() {
    Object.assign(globalThis, { [GLOBAL]: this.#counters });
    plugin({
      name: "coverage",
      setup: (build) => {
        build.onLoad({ filter: /\.tsx?$/, namespace: "file" }, async ({ path }) => {
          const text = await Bun.file(path).text();
          const loader = path.endsWith("x") ? "tsx" : "ts";
          if (!path.startsWith(SOURCES)) return { contents: text, loader };
          const code = new Bun.Transpiler({ loader, target: "bun" }).transformSync(text);
          return { contents: this.#instrumented(code), loader: "js" };
        });
      },
    });
  }

  /** Texts of the program, which its inputs may have to contain. */
  get dictionary(): string[] {
    return [...this.#dictionary];
  }

  /** How many counters were ever above 0. */
  get blocks(): number {
    return this.#blocks;
  }

  /** What was counted so far belongs to no input. */
  reset(): void {
    this.#counters.fill(0);
  }

  /** Whether something was counted that no input before has reached; counts from 0 again. */
  takeNews(): boolean {
    let isNew = false;
    for (let word = 0; 4 * word < this.#used; word++) {
      if (this.#words[word] === 0) continue;
      for (let index = 4 * word; index < 4 * word + 4; index++) {
        const bit = 1 << (31 - Math.clz32(this.#counters[index]!));
        if (this.#counters[index] === 0 || (this.#seen[index]! & bit) !== 0) continue;
        if (this.#seen[index] === 0) this.#blocks++;
        this.#seen[index]! |= bit;
        isNew = true;
      }
      this.#words[word] = 0;
    }
    return isNew;
  }

  #instrumented(code: string): string {
    const parts: { readonly at: number; readonly text: string }[] = [];
    const count = () => {
      if (this.#used === COUNTERS_MAX) throw new RangeError(`more than ${COUNTERS_MAX} blocks`);
      return `${GLOBAL}[${this.#used++}]++`;
    };
    const put = (at: number, text: string) => void parts.push({ at, text });
    const visit = (node: SyntaxNode): void => {
      this.#collectWord(node);
      const { type, body, consequent, alternate, test, right } = node;
      if (type === "BlockStatement") put(node.start + 1, `${count()};`);
      if (type === "SwitchCase" && isNodes(consequent) && consequent.length > 0)
        put(consequent[0]!.start, `${count()};`);
      const asStatement = type === "IfStatement" ? [consequent, alternate] : LOOPS.has(type) ? [body] : [];
      const asExpression = BRANCHES.has(type) ? [consequent, alternate, type === "LogicalExpression" && right] : [];
      if (type === "ArrowFunctionExpression") asExpression.push(body);
      for (const child of childrenOf(node)) {
        const isBlock = child.type === "BlockStatement";
        const wraps = isBlock ? undefined : asStatement.includes(child) ? "{}" : asExpression.includes(child) && "()";
        if (wraps) put(child.start, wraps === "{}" ? `{${count()};` : `(${count()},`);
        visit(child);
        if (wraps) put(child.end, wraps[1]!);
      }
      if (type === "IfStatement" && test && !alternate) put(node.end, ` else {${count()}}`);
    };
    visit(parse(code, { ecmaVersion: "latest", sourceType: "module" }) as Node as SyntaxNode);
    let end = 0;
    let whole = "";
    for (const { at, text } of parts.toSorted((a, b) => a.at - b.at)) {
      whole += code.slice(end, at) + text;
      end = at;
    }
    return whole + code.slice(end);
  }

  #collectWord({ type, value }: SyntaxNode): void {
    if (type !== "Literal" || typeof value !== "string") return;
    if (value.length > 0 && value.length <= WORD_LENGTH_MAX) this.#dictionary.add(value);
  }
}

const LOOPS: ReadonlySet<string> = new Set([
  "ForStatement",
  "ForInStatement",
  "ForOfStatement",
  "WhileStatement",
  "DoWhileStatement",
]);
const BRANCHES: ReadonlySet<string> = new Set(["ConditionalExpression", "LogicalExpression"]);

type SyntaxNode = Node & Readonly<Record<string, unknown>>;

function isNode(value: unknown): value is SyntaxNode {
  return typeof value === "object" && value !== null && "type" in value && "start" in value;
}

function isNodes(value: unknown): value is SyntaxNode[] {
  return Array.isArray(value) && value.every(isNode);
}

function childrenOf(node: SyntaxNode): SyntaxNode[] {
  return Object.values(node)
    .flatMap((value) => (Array.isArray(value) ? (value as unknown[]) : [value]))
    .filter(isNode);
}
