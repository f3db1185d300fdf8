/** Tests that tell one story: each stands on what the ones before left. */
import { test } from "bun:test";

/** For a step with all before it. */
const STORY_MS_MAX = 120_000;

interface Step {
  readonly name: string;
  readonly run: () => Promise<void>;
  told: Promise<void> | undefined;
}

/**
 * Registers the steps of one story, a test for each. Whichever of them runs first, as in random order, the story is told
 * from its beginning; after a step that failed the rest is not tried. The steps stand all in bodies of `describe` or all
 * outside, since those bodies are called after the rest of the file.
 */
export function story(): (name: string, run: () => Promise<void>) => void {
  const steps: Step[] = [];
  let failed: string | undefined;

  async function tellUpTo(index: number): Promise<void> {
    for (const step of steps.slice(0, index)) {
      step.told ??= tell(step);
      // The test of that step fails by it.
      await step.told.catch(() => undefined);
    }
    const last = steps[index]!;
    last.told ??= tell(last);
    await last.told;
  }

  async function tell({ name, run }: Step): Promise<void> {
    if (failed !== undefined) throw new Error(`not tried, since this step failed: ${failed}`);
    failed = name;
    await run();
    failed = undefined;
  }

  return (name, run) => {
    const index = steps.push({ name, run, told: undefined }) - 1;
    test(name, () => tellUpTo(index), STORY_MS_MAX);
  };
}
