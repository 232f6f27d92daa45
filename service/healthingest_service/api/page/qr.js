// A QR code as an element. `vendor/uqr.js` computes it; see its licence beside it.
import { encode } from "./vendor/uqr.js";

const SVG = "http://www.w3.org/2000/svg";
/** Light modules around the code, which scanners need (ISO/IEC 18004). */
const QUIET_ZONE = 4;

/** Return an SVG element with the QR code of a text. */
export function qrCode(text, label) {
  const code = encode(text, { ecc: "M", border: QUIET_ZONE });
  const squares = code.data.flatMap((line, y) =>
    line.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : "")),
  );
  const image = element("svg", { viewBox: `0 0 ${code.size} ${code.size}`, role: "img", "aria-label": label });
  image.append(element("path", { d: squares.join(""), fill: "#000", "shape-rendering": "crispEdges" }));
  return image;
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
