/** The Markdown of docs/: headings, paragraphs, lists in lists, tables, code and quotes; in lines code, bold, emphasis, links.
 *
 *     text ─► blocks (by line) ─► spans (by sign)          never HTML: what is not understood stays text
 */

export type Span =
  | { kind: "text"; text: string }
  | { kind: "code"; text: string }
  | { kind: "strong"; spans: readonly Span[] }
  | { kind: "em"; spans: readonly Span[] }
  | { kind: "link"; to: string; spans: readonly Span[] };

export type Block =
  | { kind: "heading"; level: number; id: string; spans: readonly Span[] }
  | { kind: "paragraph"; spans: readonly Span[] }
  | { kind: "code"; language: string; text: string }
  | { kind: "quote"; blocks: readonly Block[] }
  | { kind: "list"; ordered: boolean; items: readonly (readonly Block[])[] }
  | { kind: "table"; head: readonly (readonly Span[])[]; rows: readonly (readonly (readonly Span[])[])[] };

const FENCE = /^ {0,3}(```+|~~~+) *(\S*)/;
const HEADING = /^(#{1,6}) +(.*?)(?: +#+)?$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)]) +(.*)$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const RULE = /^ {0,3}(?:-{3,}|\*{3,})$/;
const COLUMNS = /^ *\|?(?: *:?-+:? *\|)+(?: *:?-+:? *)?$/;
const PICTURE = /^!\[([^\]]*)\]\(([^)\s]+)\)/;
const LINK = /^\[((?:[^[\]`]|`[^`]*`|\[[^\]]*\])+)\]\(([^)\s]+)\)/;

export function blocksOf(text: string): Block[] {
  return read(text.replace(/\r\n?/g, "\n").replace(/<!--[\s\S]*?-->/g, "").split("\n"), new Map());
}

function read(lines: readonly string[], ids: Map<string, number>): Block[] {
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; ) {
    const line = lines[at] ?? "";
    const fence = FENCE.exec(line);
    const heading = HEADING.exec(line);
    const item = ITEM.exec(line);
    if (line.trim() === "" || RULE.test(line)) at++;
    else if (fence) {
      let end = at + 1;
      while (end < lines.length && !(lines[end] ?? "").trim().startsWith(fence[1] ?? "```")) end++;
      blocks.push({ kind: "code", language: fence[2] ?? "", text: lines.slice(at + 1, end).join("\n") });
      at = end + 1;
    } else if (heading) {
      blocks.push({ kind: "heading", level: heading[1]?.length ?? 1, id: idOf(heading[2] ?? "", ids), spans: spansOf(heading[2] ?? "") });
      at++;
    } else if (QUOTE.test(line)) {
      const inside: string[] = [];
      for (let quoted = QUOTE.exec(line); quoted; quoted = QUOTE.exec(lines[++at] ?? "")) inside.push(quoted[1] ?? "");
      blocks.push({ kind: "quote", blocks: read(inside, ids) });
    } else if (line.includes("|") && COLUMNS.test(lines[at + 1] ?? "")) {
      const rows: string[] = [];
      let end = at + 2;
      for (; (lines[end] ?? "").includes("|"); end++) rows.push(lines[end] ?? "");
      blocks.push({ kind: "table", head: cellsOf(line), rows: rows.map(cellsOf) });
      at = end;
    } else if (item) at = list(lines, at, item, blocks, ids);
    else {
      const words = [line.trim()];
      while (++at < lines.length && !begins(lines, at)) words.push((lines[at] ?? "").trim());
      blocks.push({ kind: "paragraph", spans: spansOf(words.join("\n")) });
    }
  }
  return blocks;
}

/** Whether something other than the paragraph goes on here. */
function begins(lines: readonly string[], at: number): boolean {
  const line = lines[at] ?? "";
  return line.trim() === "" || FENCE.test(line) || HEADING.test(line) || QUOTE.test(line) || ITEM.test(line) || (line.includes("|") && COLUMNS.test(lines[at + 1] ?? ""));
}

/** A list from `at` on; returns the line behind it. What is further in than a mark belongs to its item. */
function list(lines: readonly string[], at: number, first: RegExpExecArray, blocks: Block[], ids: Map<string, number>): number {
  const indent = first[1]?.length ?? 0;
  const ordered = /\d/.test(first[2] ?? "");
  const items: Block[][] = [];
  let item: RegExpExecArray | null = first;
  while (item && item[1]?.length === indent && /\d/.test(item[2] ?? "") === ordered) {
    const inside = [item[3] ?? ""];
    let empty = false;
    for (at++; at < lines.length; at++) {
      const line = lines[at] ?? "";
      const deep = line.length - line.trimStart().length;
      if (line.trim() === "") empty = true;
      else if (deep > indent) empty = false;
      else if (empty || begins(lines, at)) break;
      inside.push(line.slice(Math.min(deep, indent + (item[2]?.length ?? 1) + 1)));
    }
    items.push(read(inside, ids));
    item = ITEM.exec(lines[at] ?? "");
  }
  blocks.push({ kind: "list", ordered, items });
  return at;
}

function cellsOf(line: string): Span[][] {
  const cells: string[] = [""];
  let code = false;
  const inside = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  for (let at = 0; at < inside.length; at++) {
    const sign = inside[at] ?? "";
    if (sign === "\\" && inside[at + 1] === "|") cells.push(`${cells.pop() ?? ""}${inside[++at]}`);
    else if (sign === "|" && !code) cells.push("");
    else {
      if (sign === "`") code = !code;
      cells.push(`${cells.pop() ?? ""}${sign}`);
    }
  }
  return cells.map((cell) => spansOf(cell.trim()));
}

export function spansOf(text: string): Span[] {
  const spans: Span[] = [];
  let plain = "";
  const put = (span: Span) => {
    if (plain !== "") spans.push({ kind: "text", text: plain });
    plain = "";
    spans.push(span);
  };
  for (let at = 0; at < text.length; ) {
    const rest = text.slice(at);
    const code = /^(`+)([\s\S]*?[^`])\1(?!`)/.exec(rest);
    const picture = PICTURE.exec(rest);
    const link = LINK.exec(rest);
    const strong = /^\*\*(?=\S)([\s\S]+?)\*\*/.exec(rest);
    const em = /^\*(?=[^\s*])([^*]+)\*(?!\*)/.exec(rest);
    const escaped = /^\\([\\`*_[\]|<>#-])/.exec(rest);
    if (escaped) plain += escaped[1] ?? "";
    else if (code) put({ kind: "code", text: (code[2] ?? "").replace(/\n/g, " ").replace(/^ (.*\S.*) $/, "$1") });
    else if (picture) plain += picture[1] ?? "";
    else if (link) put({ kind: "link", to: link[2] ?? "", spans: spansOf(link[1] ?? "") });
    else if (strong) put({ kind: "strong", spans: spansOf(strong[1] ?? "") });
    else if (em) put({ kind: "em", spans: spansOf(em[1] ?? "") });
    else plain += rest[0];
    at += (escaped ?? code ?? picture ?? link ?? strong ?? em)?.[0]?.length ?? 1;
  }
  if (plain !== "") spans.push({ kind: "text", text: plain });
  return spans;
}

export const wordsOf = (spans: readonly Span[]): string => spans.map((one) => ("text" in one ? one.text : wordsOf(one.spans))).join("");

/** As links in these pages expect it, the second of a name with `-1`. */
function idOf(heading: string, ids: Map<string, number>): string {
  const id = wordsOf(spansOf(heading)).toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").trim().replace(/\s/g, "-");
  const before = ids.get(id) ?? 0;
  ids.set(id, before + 1);
  return before === 0 ? id : `${id}-${before}`;
}
