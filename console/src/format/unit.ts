/** UCUM codes as people write them on a panel: `Cel` → °C, `m3/h` → m³/h, `{parts}/h` → parts/h. Source: UCUM §2.4. */
const ATOMS: Readonly<Record<string, string>> = {
  "1": "",
  Cel: "°C",
  "[degF]": "°F",
  deg: "°",
  Ohm: "Ω",
  um: "µm",
  us: "µs",
  "[ppm]": "ppm",
  "[in_i]": "in",
  "[psi]": "psi",
  "m[H2O]": "mH₂O",
  "B[SPL]": "dB",
  "kV.A": "kVA",
  "V.A": "VA",
  "kW.h": "kWh",
  "MW.h": "MWh",
  "W.h": "Wh",
};
const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const raise = (digits: string) =>
  [...digits].map((d) => (d === "-" ? "⁻" : (SUPERSCRIPT[Number(d)] ?? d))).join("");

function factor(text: string): string {
  const known = ATOMS[text];
  if (known !== undefined) return known;
  const note = /^\{(.*)\}$/.exec(text);
  if (note) return note[1] ?? "";
  const power = /^([a-zA-Z%µ[\]]+)([+-]?\d+)$/.exec(text);
  if (power) return (ATOMS[power[1] ?? ""] ?? power[1] ?? "") + raise((power[2] ?? "").replace("+", ""));
  return text;
}

export function displayUnit(ucum: string): string {
  const known = ATOMS[ucum];
  if (known !== undefined) return known;
  return ucum
    .split("/")
    .map((part, index) => {
      if (part === "" && index === 0) return "1";
      const whole = ATOMS[part];
      return whole || part.split(".").map(factor).filter(Boolean).join("·");
    })
    .join("/");
}
