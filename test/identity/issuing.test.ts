/** Requests for certificates: whoever has made one has its key. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { CERTIFICATE_REQUEST_BYTES_MAX } from "../../src/core/limits.ts";
import { keyOfRequest, makeRequest } from "../../src/identity/issuing.ts";
import { createPrivateKeyPem, peerIdOfKey, publicKeyOf } from "../../src/identity/keys.ts";
import { expectError } from "../support/errors.ts";

test("a request names the public key of whoever made it", async () => {
  const key = await createPrivateKeyPem();
  const request = await makeRequest(key);
  expect(request.length).toBeLessThan(CERTIFICATE_REQUEST_BYTES_MAX / 2);
  expect(await keyOfRequest(request)).toEqual(Uint8Array.from(publicKeyOf(key)));
});

test("a request that is changed names no other key; cut off, or none at all, it is refused", async () => {
  const key = await createPrivateKeyPem();
  const request = await makeRequest(key);
  const spki = Buffer.from(publicKeyOf(key)).toString("hex");
  for (let at = 0; at < request.length; at++) {
    const changed = Uint8Array.from(request);
    changed[at]! ^= 1 << (at % 8);
    const found = await keyOfRequest(changed).catch((thrown) => thrown);
    // The name of the algorithm beside the signature is not signed itself.
    if (found instanceof Uint8Array) expect(Buffer.from(found).toString("hex")).toBe(spki);
    else expect(found).toMatchObject({ code: "refused" });
    await expectError("refused", keyOfRequest(request.subarray(0, at)), "not a request");
  }
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      await expectError("refused", keyOfRequest(bytes), "not a request");
    }),
  );
  await expectError("refused", keyOfRequest(new Uint8Array(CERTIFICATE_REQUEST_BYTES_MAX + 1)), "more than");
});

test("peer ids are those of their keys, and differ", async () => {
  const keys = await Promise.all(Array.from({ length: 20 }, createPrivateKeyPem));
  const ids = keys.map((key) => peerIdOfKey(publicKeyOf(key)));
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids).toEqual(keys.map((key) => peerIdOfKey(publicKeyOf(key))));
});
