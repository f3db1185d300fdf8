/**
 * The list of shared files, page by page from the role: the first rows show at once, the rest follows. A change in the
 * swarm loads a short list anew; a long one only says that it is no longer the newest.
 */

import type { ClientResponse } from "hono/client";
import { useCallback, useEffect, useRef, useState } from "hono/jsx/dom";
import type { FileInfo } from "../../core/model.ts";
import { type Page, pagesOf } from "./api.ts";
import { useEvents } from "./hooks.ts";

/** Longer lists are loaded anew only by somebody's wish. */
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

/** @param key tells one question from another; a new one loads anew. */
export function useFileList(ask: Ask, key: string): FileList {
  const [state, setState] = useState<Omit<FileList, "reload">>({
    rows: [],
    version: 0,
    loading: true,
    isFirst: true,
    isStale: false,
    error: undefined,
  });
  const turn = useRef(0);
  const rowsNow = useRef(0);
  const load = useCallback(async () => {
    const mine = ++turn.current!;
    const rows: FileInfo[] = [];
    let shownMs = 0;
    const show = (change: Partial<FileList>) => {
      if (mine !== turn.current) return;
      rowsNow.current = rows.length;
      shownMs = performance.now();
      setState((before) => ({ ...before, rows, version: before.version + 1, isFirst: false, ...change }));
    };
    setState((before) => ({ ...before, loading: true, isStale: false }));
    // A reload of what shows already replaces it in one go.
    const isAnew = rowsNow.current === 0;
    try {
      for await (const page of pagesOf(ask)) {
        if (mine !== turn.current) return;
        rows.push(...page);
        if (isAnew && performance.now() - shownMs > SHOW_MS) show({ error: undefined });
      }
      show({ loading: false, error: undefined });
    } catch (error) {
      if (mine === turn.current) setState((before) => ({ ...before, loading: false, isFirst: false, error }));
    }
  }, [key]);
  useEffect(() => {
    rowsNow.current = 0;
    setState((before) => ({ ...before, rows: [], version: before.version + 1, isFirst: true, error: undefined }));
    load();
    return () => {
      turn.current = turn.current! + 1;
    };
  }, [key]);
  useEvents(
    CHANGES,
    () => {
      if (rowsNow.current! <= RELOAD_ROWS_MAX) load();
      else setState((before) => ({ ...before, isStale: true }));
    },
    CALM_MS,
  );
  return { ...state, reload: load };
}
