/** A text as a QR code (ISO/IEC 18004), dark on light whatever the colours of the page are, as readers expect. */
import { generate } from "lean-qr";
import { toSvgPath } from "lean-qr/extras/svg";

/** Light modules around the code. */
const MARGIN = 4;

export function QrCode({ text, label }: { text: string; label: string }) {
  const code = generate(text);
  const width = code.size + 2 * MARGIN;
  return (
    <svg class="qr-code" role="img" aria-label={label} viewBox={`${-MARGIN} ${-MARGIN} ${width} ${width}`}>
      <rect x={-MARGIN} y={-MARGIN} width={width} height={width} fill="#fff" />
      <path d={toSvgPath(code)} fill="#000" />
    </svg>
  );
}
