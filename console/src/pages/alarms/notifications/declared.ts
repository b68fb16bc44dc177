/** Names under a key of declarations: `namesUnder(text, "channels")`. The platform alone judges a text; this reads what it can. */
import { yamlLanguage } from "@codemirror/lang-yaml";

type Node = ReturnType<typeof yamlLanguage.parser.parse>["topNode"];

const MAPPINGS: readonly string[] = ["BlockMapping", "FlowMapping"];
const QUOTES = /^(["'])(.*)\1$/s;

export function namesUnder(text: string, key: string): string[] {
  const pairsOf = (mapping: Node) => mapping.getChildren("Pair").flatMap((pair) => {
    const name = pair.getChild("Key");
    return name ? [{ name: text.slice(name.from, name.to).trim().replace(QUOTES, "$2"), pair }] : [];
  });
  const mappingsIn = (node: Node) => MAPPINGS.flatMap((name) => node.getChildren(name));
  return yamlLanguage.parser
    .parse(text)
    .topNode.getChildren("Document")
    .flatMap(mappingsIn)
    .flatMap(pairsOf)
    .filter((one) => one.name === key)
    .flatMap(({ pair }) => mappingsIn(pair).flatMap(pairsOf).map((one) => one.name));
}
