import { describe, expect, it } from "vitest";
import { namesUnder } from "./declared";

const TEXT = `# who hears
channels:
  mail:
    kind: email
    settings: {host: smtp.acme.example}
  "shift group": {kind: wecom}
contacts: {li: {name: 李明, addresses: {email: li@acme.example}}, 'wang': {name: 王芳}}
points:
  channels: {unit: bar}
`;

describe("names of declarations", () => {
  it("are those right under the key, whichever way they are written", () => {
    expect(namesUnder(TEXT, "channels")).toEqual(["mail", "shift group"]);
    expect(namesUnder(TEXT, "contacts")).toEqual(["li", "wang"]);
  });
  it("are none where there is no such key, and of a text that is half written", () => {
    expect(namesUnder(TEXT, "rosters")).toEqual([]);
    expect(namesUnder("channels:", "channels")).toEqual([]);
    expect(namesUnder("channels: [mail]", "channels")).toEqual([]);
    expect(namesUnder("}{: \u0000", "channels")).toEqual([]);
  });
});
