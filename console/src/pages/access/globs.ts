/** Patterns of points as the platform reads them (Python's fnmatch, letters as they are): `*`, `?`, `[a-z]`, `[!a-z]`.
 *
 * Matched by walking, not by a regular expression, so that no pattern takes longer than its length times the text's.
 */
type Part = { kind: "any" } | { kind: "one" } | { kind: "set"; not: boolean; ranges: readonly (readonly [string, string])[] };

function setOf(inside: string): Part {
  const not = inside.startsWith("!");
  const chars = [...(not ? inside.slice(1) : inside)];
  const ranges: [string, string][] = [];
  for (let at = 0; at < chars.length; at += 1) {
    const low = chars[at] as string;
    const high = chars[at + 2];
    if (chars[at + 1] === "-" && high !== undefined) {
      if (order(low) <= order(high)) ranges.push([low, high]);
      at += 2;
    } else ranges.push([low, low]);
  }
  return { kind: "set", not, ranges };
}

const order = (char: string) => char.codePointAt(0) ?? 0;

function parse(pattern: string): Part[] {
  const found: Part[] = [];
  const chars = [...pattern];
  for (let at = 0; at < chars.length; at += 1) {
    const char = chars[at] as string;
    if (char === "*") found.push({ kind: "any" });
    else if (char === "?") found.push({ kind: "one" });
    else {
      // A bracket right after the opening one, or after its `!`, is a member and closes nothing.
      const end = char === "[" ? chars.indexOf("]", at + (chars[at + 1] === "!" ? 3 : 2)) : -1;
      if (end < 0) found.push({ kind: "set", not: false, ranges: [[char, char]] });
      else {
        found.push(setOf(chars.slice(at + 1, end).join("")));
        at = end;
      }
    }
  }
  return found;
}

function fits(part: Part, char: string): boolean {
  if (part.kind !== "set") return part.kind === "one";
  return part.ranges.some(([low, high]) => order(low) <= order(char) && order(char) <= order(high)) !== part.not;
}

function match(pattern: readonly Part[], text: readonly string[]): boolean {
  let [p, at, star, mark] = [0, 0, -1, 0];
  while (at < text.length) {
    const part = pattern[p];
    if (part?.kind === "any") [star, mark, p] = [p, at, p + 1];
    else if (part && fits(part, text[at] as string)) [p, at] = [p + 1, at + 1];
    else if (star >= 0) [p, mark, at] = [star + 1, mark + 1, mark + 1];
    else return false;
  }
  return pattern.slice(p).every((part) => part.kind === "any");
}

/** Tells of what follows the asset in a point's path whether one of the patterns takes it; without patterns all are taken. */
export function globs(patterns: readonly string[]): (name: string) => boolean {
  const parsed = patterns.map((one) => one.trim()).filter(Boolean).map(parse);
  return (name) => parsed.length === 0 || parsed.some((one) => match(one, [...name]));
}
