/**
 * Draws chunks on a canvas, so that ten thousand cost no more elements than ten. A map has a cell for each chunk, as large as
 * fits; in a strip each column of pixels stands for a share of the chunks, so that any number fits.
 */
import { useRef } from "hono/jsx/dom";
import { useStore } from "../store.ts";
import { theme } from "../theme.ts";
import { useEffect } from "../view-state.ts";

const CELL_MAX = 12;
/** Smaller cells cannot be told apart. */
const CELL_MIN = 3;
const GAP_FROM = 4;

export interface ChunkPictureProps {
  readonly total: number;
  /** From 0 (nobody has it) to 1 (available enough); -1 for a missing chunk, which is drawn to stand out. */
  readonly levelOf: (chunk: number) => number;
  /** Changes whenever the levels do. */
  readonly version: number | string;
  readonly label: string;
  readonly height: number;
  readonly kind: "map" | "strip";
}

export function ChunkPicture({ total, levelOf, version, label, height, kind }: ChunkPictureProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const latest = useRef({ total, levelOf });
  latest.current = { total, levelOf };
  const shownTheme = useStore(theme);
  const redraw = () => {
    const element = canvas.current;
    if (element === null) return;
    const now = latest.current!;
    draw(element, now.total, now.levelOf, height, kind);
  };
  useEffect(() => {
    // The canvas may be gone already if its list was loaded again at once.
    if (canvas.current === null) return;
    const observer = new ResizeObserver(redraw);
    observer.observe(canvas.current);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const frame = requestAnimationFrame(redraw);
    return () => cancelAnimationFrame(frame);
  }, [version, total, shownTheme]);
  return <canvas ref={canvas} class="chunk-picture" role="img" aria-label={label} style={{ height: `${height}px` }} />;
}

function draw(
  canvas: HTMLCanvasElement,
  total: number,
  levelOf: (chunk: number) => number,
  height: number,
  kind: "map" | "strip",
): void {
  const ratio = devicePixelRatio;
  const width = canvas.clientWidth;
  if (width === 0) return;
  const [pixelsWide, pixelsHigh] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== pixelsWide) canvas.width = pixelsWide;
  if (canvas.height !== pixelsHigh) canvas.height = pixelsHigh;
  const context = canvas.getContext("2d")!;
  const paint = paletteOf(canvas);
  context.clearRect(0, 0, pixelsWide, pixelsHigh);
  const cell = kind === "map" ? cellFor(pixelsWide, pixelsHigh, total) : 0;
  if (cell > 0) drawCells(context, pixelsWide, cell, total, levelOf, paint);
  else drawColumns(context, pixelsWide, pixelsHigh, total, levelOf, paint);
}

/** The largest size of square cells at which all chunks fit; 0 if they do not. */
function cellFor(width: number, height: number, total: number): number {
  for (let cell = Math.round(CELL_MAX * devicePixelRatio); cell >= CELL_MIN; cell--) {
    if (Math.floor(width / cell) * Math.floor(height / cell) >= total) return cell;
  }
  return 0;
}

type Paint = (level: number) => string;

function drawCells(
  context: CanvasRenderingContext2D,
  width: number,
  cell: number,
  total: number,
  levelOf: (chunk: number) => number,
  paint: Paint,
): void {
  const perRow = Math.floor(width / cell);
  const gap = cell >= GAP_FROM ? 1 : 0;
  for (let chunk = 0; chunk < total; chunk++) {
    context.fillStyle = paint(levelOf(chunk));
    context.fillRect((chunk % perRow) * cell, Math.floor(chunk / perRow) * cell, cell - gap, cell - gap);
  }
}

/** The mean of the chunks that share a column; a missing one among them makes the column missing. */
function drawColumns(
  context: CanvasRenderingContext2D,
  width: number,
  height: number,
  total: number,
  levelOf: (chunk: number) => number,
  paint: Paint,
): void {
  const columns = Math.min(width, total);
  const gap = width / total >= GAP_FROM ? 1 : 0;
  for (let column = 0; column < columns; column++) {
    const first = Math.floor((column * total) / columns);
    const end = Math.max(first + 1, Math.floor(((column + 1) * total) / columns));
    let sum = 0;
    let isMissing = false;
    for (let chunk = first; chunk < end; chunk++) {
      const level = levelOf(chunk);
      if (level < 0) isMissing = true;
      else sum += level;
    }
    const left = Math.floor((column * width) / columns);
    const right = Math.floor(((column + 1) * width) / columns);
    context.fillStyle = paint(isMissing ? -1 : sum / (end - first));
    context.fillRect(left, 0, Math.max(1, right - left - gap), height);
  }
}

/** The colours of the style sheet; the browser mixes levels between them. */
function paletteOf(canvas: HTMLCanvasElement): Paint {
  const style = getComputedStyle(canvas);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const [none, some, missing, fresh] = ["--chunk-none", "--chunk-held", "--chunk-missing", "--chunk-fresh"].map(colour);
  const mixed = new Map<number, string>();
  return (level) => {
    if (level < 0) return missing!;
    if (level === 0) return none!;
    if (level > 1) return fresh!;
    // At least a third of the colour, so that a low level differs visibly from 0.
    const percent = Math.round(34 + 66 * level);
    const known = mixed.get(percent) ?? `color-mix(in srgb, ${some} ${percent}%, ${none})`;
    mixed.set(percent, known);
    return known;
  };
}
