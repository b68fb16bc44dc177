import { describe, expect, it } from "vitest";
import { globs } from "./globs";

// Each line was asked of Python 3.11: fnmatch.fnmatchcase(name, pattern).
const CASES: readonly [pattern: string, name: string, taken: boolean][] = [
  ["*", "press-3/oil.temperature", true],
  ["oil.*", "oil.temperature", true],
  ["oil.*", "press-3/oil.temperature", false],
  ["*/oil.*", "press-3/oil.temperature", true],
  ["press-?/*", "press-3/oil.level", true],
  ["press-?/*", "press-13/oil.level", false],
  ["press-[1-3]/*", "press-3/oil.level", true],
  ["press-[!1-3]/*", "press-3/oil.level", false],
  ["press-[!1-3]/*", "press-4/oil.level", true],
  ["[]]", "]", true],
  ["[!]]", "]", false],
  ["[!]]", "a", true],
  ["[a", "[a", true],
  ["[z-a]", "b", false],
  ["[a-]", "-", true],
  ["[-a]", "-", true],
  ["Oil*", "oil.level", false],
  ["油?", "油温", true],
  ["a.c", "abc", false],
  ["", "anything", true],
];

describe("patterns of points", () => {
  it.each(CASES)("%s takes %s: %s", (pattern, name, taken) => expect(globs([pattern])(name)).toBe(taken));
  it("take what any of them takes, and everything without one", () => {
    expect(globs(["a*", "b*"])("b1")).toBe(true);
    expect(globs([])("b1")).toBe(true);
    expect(globs([" a* "])("a1")).toBe(true);
  });
  it("are quick on what would make a regular expression slow", () => expect(globs(["*a".repeat(25) + "b"])("a".repeat(500))).toBe(false));
});
