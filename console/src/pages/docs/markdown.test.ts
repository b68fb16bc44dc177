import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Block, blocksOf, spansOf, wordsOf } from "./markdown";

const FOLDER = new URL("../../../../docs/", import.meta.url);

describe("Markdown", () => {
  it("reads blocks", () => {
    const read = blocksOf("# A `b`\n\nOne\ntwo\n\n- x\n  goes on\n  - y\n- z\n\n1. n\n\n| a | `b|c` |\n|---|---|\n| 1 | 2 \\| 3 |\n\n> q\n\n```yaml\n# no heading\n\n- no list\n```\n");
    expect(read.map((one) => one.kind)).toEqual(["heading", "paragraph", "list", "list", "table", "quote", "code"]);
    const [heading, paragraph, list, , table, , code] = read as [Block, Block, Block, Block, Block, Block, Block];
    expect(heading).toMatchObject({ level: 1, id: "a-b" });
    expect(paragraph.kind === "paragraph" && wordsOf(paragraph.spans)).toBe("One\ntwo");
    expect(list.kind === "list" && list.items.map((item) => item.map((one) => one.kind))).toEqual([["paragraph", "list"], ["paragraph"]]);
    expect(table.kind === "table" && [table.head, ...table.rows].map((row) => row.map(wordsOf))).toEqual([["a", "b|c"], ["1", "2 | 3"]]);
    expect(code).toEqual({ kind: "code", language: "yaml", text: "# no heading\n\n- no list" });
  });

  it("reads lines", () => {
    expect(spansOf("a `*b*` **c `d`** *e* [f `g`](h.md#i) \\*j\\* 2*3*4 <b>").map((one) => one.kind)).toEqual(["text", "code", "text", "strong", "text", "em", "text", "link", "text", "em", "text"]);
    expect(wordsOf(spansOf("<script>alert(1)</script>"))).toBe("<script>alert(1)</script>");
    expect(wordsOf(spansOf("an * open ` sign ** and [no link"))).toBe("an * open ` sign ** and [no link");
  });

  it("names two headings alike apart", () => {
    expect(blocksOf("## In Python\n## In Python\n## 计算点").map((one) => one.kind === "heading" && one.id)).toEqual(["in-python", "in-python-1", "计算点"]);
  });

  it("loses no word of what we wrote", () => {
    const words = (blocks: readonly Block[]): string =>
      blocks
        .map((one) => {
          if (one.kind === "code") return one.text;
          if (one.kind === "quote") return words(one.blocks);
          if (one.kind === "list") return one.items.map(words).join(" ");
          if (one.kind === "table") return [one.head, ...one.rows].flatMap((row) => row.map(wordsOf)).join(" ");
          return wordsOf(one.spans);
        })
        .join(" ");
    for (const file of readdirSync(FOLDER).filter((name) => name.endsWith(".md"))) {
      const text = readFileSync(new URL(file, FOLDER), "utf-8");
      const blocks = blocksOf(text);
      expect(blocks[0]?.kind, file).toBe("heading");
      const letters = (said: string) => said.replace(/\]\([^)\s]*\)/g, "").replace(/^ *(```|~~~).*$/gm, "").replace(/^ *\d+[.)]/gm, "").replace(/<!--[\s\S]*?-->/g, "").replace(/[^\p{L}\p{N}]/gu, "");
      expect(letters(words(blocks)).length, file).toBeGreaterThan(letters(text).length * 0.995);
    }
  });
});
