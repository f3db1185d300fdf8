/** D7 and R5: how long a fetch waits for a holder of a chunk that nobody has had. */
import { describe, expect, test } from "bun:test";
import { DOWNLOAD_BOUNDS } from "../../src/swarm/bounds.ts";
import { Driver, rangeOfOne, rangesOf } from "./support.ts";

const { noHolderMs } = DOWNLOAD_BOUNDS;

/** When the fetch fails, on a clock that shows `startsAt` at first. */
function failsAt(driver: Driver, startsAt = 0): number {
  driver.now = startsAt;
  driver.send({ type: "tick" });
  while (!driver.types().includes("failed")) driver.advance(10);
  return driver.now;
}

describe("a chunk that nobody has had", () => {
  test("D7: is waited for as long as the bound says", () => {
    expect(failsAt(new Driver(2), 500)).toBe(500 + noHolderMs);
  });

  test("R5: is waited for until the notice is due, where that comes first", () => {
    expect(failsAt(new Driver(2, { noticeAt: 1900 }), 1200)).toBe(1900);
    expect(failsAt(new Driver(2, { noticeAt: 1900 }), 100)).toBe(100 + noHolderMs);
  });

  test("is waited for as long as the bound says where that time is over when the wait begins", () => {
    expect(failsAt(new Driver(2, { noticeAt: 1900 }), 1900)).toBe(1900 + noHolderMs);
  });

  test("is waited for anew when a source gains chunks, whatever time the notice had", () => {
    const driver = new Driver(3, { noticeAt: 1900 });
    driver.now = 1200;
    driver.join("one", rangeOfOne(0));
    driver.advance(500);
    driver.send({ type: "source_has", source: "one", chunks: rangesOf([1]) });
    driver.advance(100);
    expect(failsAt(driver, driver.now)).toBeGreaterThan(1900);
  });
});
