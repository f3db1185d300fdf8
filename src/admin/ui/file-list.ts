/**
 * The list of shared files, loaded page by page: the first rows show at once, the others follow. When something changes, a
 * short list is loaded again; a long one only shows that there is a newer one.
 */

import type { ClientResponse } from "hono/client";
import { useRef } from "hono/jsx/dom";
import type { FileInfo } from "../../core/model.ts";
import { type Page, pagesOf } from "./api.ts";
import { useEvents } from "./hooks.ts";
import { oneAtATime } from "./one-at-a-time.ts";
import { useEffect, useState } from "./view-state.ts";

/** Longer lists are loaded again only when the user asks for it. */
const RELOAD_ROWS_MAX = 2000;
const SHOW_MS = 400;
const CALM_MS = 250;
const CHANGES = ["published", "unpublished", "peer_joined", "peer_left", "tracker_joined", "fetch_ended", "hello"];

export interface FileList {
  readonly rows: readonly FileInfo[];
  /** Changes with the rows. */
  readonly version: number;
  readonly loading: boolean;
  readonly isFirst: boolean;
  readonly isStale: boolean;
  readonly error: unknown;
  readonly reload: () => void;
}

type Ask = (query: { cursor?: string }) => Promise<ClientResponse<Page<FileInfo>>>;
type Answer = Omit<FileList, "reload">;

const noAnswer: Answer = { rows: [], version: 0, loading: true, isFirst: true, isStale: false, error: undefined };

/** Counts over all lists, so that no two have the same version. */
let versions = 0;

/** @param key identifies the query; a new key loads again, and rows of another key are not shown */
export function useFileList(ask: Ask, key: string): FileList {
  const [state, setState] = useState({ key, answer: noAnswer });
  const request = useRef(() => {});
  const rowsNow = useRef(0);
  useEffect(() => {
    let isOver = false;

    rowsNow.current = 0;
    const change = (changed: Partial<Answer>) => {
      if (!isOver)
        setState((before) => ({ key, answer: { ...(before.key === key ? before.answer : noAnswer), ...changed } }));
    };
    const load = async () => {
      const rows: FileInfo[] = [];
      let shownMs = 0;
      const show = (changed: Partial<Answer>) => {
        rowsNow.current = rows.length;
        shownMs = performance.now();
        change({ rows, version: ++versions, isFirst: false, error: undefined, ...changed });
      };
      change({ loading: true, isStale: false });
      // A reload replaces the shown rows at once when it is complete.
      const isAnew = rowsNow.current === 0;
      try {
        for await (const page of pagesOf(ask)) {
          if (isOver) return;
          rows.push(...page);
          if (isAnew && performance.now() - shownMs > SHOW_MS) show({});
        }
        show({ loading: false });
      } catch (error) {
        change({ loading: false, isFirst: false, error });
      }
    };
    request.current = oneAtATime(load);
    request.current();
    return () => {
      isOver = true;
    };
  }, [key]);
  useEvents(
    CHANGES,
    () => {
      if (rowsNow.current! <= RELOAD_ROWS_MAX) request.current!();
      else setState((before) => ({ ...before, answer: { ...before.answer, isStale: true } }));
    },
    CALM_MS,
  );
  return { ...(state.key === key ? state.answer : noAnswer), reload: () => request.current!() };
}
