/** Tests that are steps of one story: each stands on what the ones before left. */
import { test } from "bun:test";
import { scopeForAll } from "./closing.ts";

/** For a step with all before it. */
const STORY_MS_MAX = 120_000;

interface Step {
  readonly name: string;
  readonly run: () => Promise<void>;
  result: Promise<void> | undefined;
}

/**
 * Registers the steps of one story, a test for each. Whichever of them runs first, as in random order, the story runs
 * from its beginning; after a step that failed the rest is not tried. What a step opens is closed after the last one:
 * before what `openForAll` opens, if that is called after this. The steps stand all in bodies of `describe` or all
 * outside, since those bodies are called after the rest of the file.
 */
export function story(): (name: string, run: () => Promise<void>) => void {
  const steps: Step[] = [];
  const within = scopeForAll();
  let failed: string | undefined;

  async function runUpTo(index: number): Promise<void> {
    for (const step of steps.slice(0, index)) {
      step.result ??= runStep(step);
      // The test of that step fails by it.
      await step.result.catch(() => undefined);
    }
    const last = steps[index]!;
    last.result ??= runStep(last);
    await last.result;
  }

  async function runStep({ name, run }: Step): Promise<void> {
    if (failed !== undefined) throw new Error(`not tried, since this step failed: ${failed}`);
    failed = name;
    await within(run);
    failed = undefined;
  }

  return (name, run) => {
    const index = steps.push({ name, run, result: undefined }) - 1;
    test(name, () => runUpTo(index), STORY_MS_MAX);
  };
}
