/** A chart of the rates of the last minutes, in and out. */
import { useRef } from "hono/jsx/dom";
import { useStore } from "../store.ts";
import { theme } from "../theme.ts";
import { useEffect } from "../view-state.ts";

export interface RatePoint {
  /** Bytes per second. */
  readonly down: number;
  readonly up: number;
}

const HEIGHT = 96;

export function RateChart({
  points,
  pointsMax,
  label,
}: {
  points: readonly RatePoint[];
  pointsMax: number;
  label: string;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const shownTheme = useStore(theme);
  useEffect(() => {
    const element = canvas.current;
    if (element === null) return;
    const redraw = () => draw(element, points, pointsMax);
    redraw();
    const observer = new ResizeObserver(redraw);
    observer.observe(element);
    return () => observer.disconnect();
  }, [points, shownTheme]);
  return <canvas ref={canvas} class="rate-chart" role="img" aria-label={label} style={{ height: `${HEIGHT}px` }} />;
}

function draw(canvas: HTMLCanvasElement, points: readonly RatePoint[], pointsMax: number): void {
  const ratio = devicePixelRatio;
  const width = canvas.clientWidth;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(HEIGHT * ratio);
  const context = canvas.getContext("2d")!;
  context.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const top = Math.max(1, ...points.flatMap(({ down, up }) => [down, up])) * 1.15;
  context.strokeStyle = style.getPropertyValue("--line");
  context.lineWidth = 1;
  for (const part of [0, 0.5, 1]) {
    const y = Math.round((HEIGHT - 2) * part) + 1;
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(width, y);
    context.stroke();
  }
  for (const [name, colour] of [
    ["up", "--up"],
    ["down", "--down"],
  ] as const) {
    const at = (index: number): [number, number] => [
      width - ((points.length - 1 - index) / (pointsMax - 1)) * width,
      HEIGHT - 1 - (points[index]![name] / top) * (HEIGHT - 4),
    ];
    if (points.length < 2) continue;
    context.beginPath();
    for (let index = 0; index < points.length; index++) context.lineTo(...at(index));
    context.strokeStyle = style.getPropertyValue(colour);
    context.lineWidth = 1.75;
    context.lineJoin = "round";
    context.stroke();
    context.lineTo(width, HEIGHT);
    context.lineTo(at(0)[0], HEIGHT);
    context.globalAlpha = 0.1;
    context.fillStyle = style.getPropertyValue(colour);
    context.fill();
    context.globalAlpha = 1;
  }
}
