/** One page of the documents, as it is written, in the reader's language. */
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { createElement, Fragment, type ReactNode, useEffect, useMemo } from "react";
import { useLanguage, useT } from "../../i18n";
import { ButtonLink } from "../../ui/links";
import { Icon } from "../../ui/Icon";
import { Empty, Page } from "../../ui/Page";
import styles from "./docs.module.css";
import { type Block, blocksOf, type Span, wordsOf } from "./markdown";
import { pageOf, PAGES, targetOf } from "./pages";

export function Document() {
  const t = useT();
  const language = useLanguage();
  const { name } = useParams({ from: "/shell/docs/$name" });
  const { data } = useQuery({ queryKey: ["document", name, language], queryFn: async () => (await pageOf(name, language === "zh")) ?? null, staleTime: Number.POSITIVE_INFINITY });
  const blocks = useMemo(() => (data ? blocksOf(data) : []), [data]);
  const [first, ...rest] = blocks;
  const titled = first?.kind === "heading";
  useEffect(() => {
    const at = decodeURIComponent(window.location.hash.slice(1));
    if (at !== "" && blocks.length > 0) document.getElementById(at)?.scrollIntoView();
  }, [blocks]);
  return (
    <Page
      title={titled ? wordsOf(first.spans) : name}
      aside={
        <ButtonLink to="/docs" variant="default" size="xs" leftSection={<Icon name="file" size={14} />}>
          {t("docs.all")}
        </ButtonLink>
      }
    >
      {data === undefined ? <Empty>{t("state.loading")}</Empty> : data === null ? <Empty>{t("docs.missing", { name })}</Empty> : <article className={styles.document}>{blocksIn(titled ? rest : blocks)}</article>}
    </Page>
  );
}

export function Documents() {
  const t = useT();
  const language = useLanguage();
  const { data } = useQuery({
    queryKey: ["documents", language],
    queryFn: () => Promise.all(PAGES.map(async (name) => ({ name, title: titleOf((await pageOf(name, language === "zh")) ?? "", name) }))),
    staleTime: Number.POSITIVE_INFINITY,
  });
  return (
    <Page title={t("docs.title")}>
      <ul className={styles.pages}>
        {(data ?? []).map((one) => (
          <li key={one.name}>
            <Link to="/docs/$name" params={{ name: one.name }}>
              {one.title}
            </Link>
          </li>
        ))}
      </ul>
    </Page>
  );
}

function titleOf(text: string, name: string): string {
  const first = blocksOf(text.slice(0, text.indexOf("\n\n") + 1 || undefined))[0];
  return first?.kind === "heading" ? wordsOf(first.spans) : name;
}

/** Parts of a page never change places, so they are children by position. */
const inOrder = <T,>(items: readonly T[], shown: (one: T) => ReactNode): ReactNode => createElement(Fragment, null, ...items.map(shown));
const blocksIn = (blocks: readonly Block[]): ReactNode => inOrder(blocks, blockIn);
const spansIn = (spans: readonly Span[]): ReactNode => inOrder(spans, spanIn);

function blockIn(block: Block): ReactNode {
  if (block.kind === "heading") return createElement(`h${Math.min(block.level, 4)}`, { id: block.id }, spansIn(block.spans));
  if (block.kind === "paragraph") return <p>{spansIn(block.spans)}</p>;
  if (block.kind === "quote") return <blockquote>{blocksIn(block.blocks)}</blockquote>;
  // What is wider than the screen is scrolled by itself, by keys too.
  if (block.kind === "code") return <pre tabIndex={0}>{block.text}</pre>;
  if (block.kind === "list") return createElement(block.ordered ? "ol" : "ul", null, inOrder(block.items, itemIn));
  return (
    <div className={styles.wide} tabIndex={0}>
      <table>
        <thead>
          <tr>{inOrder(block.head, (cell) => <th>{spansIn(cell)}</th>)}</tr>
        </thead>
        <tbody>{inOrder(block.rows, (row) => <tr>{inOrder(row, (cell) => <td>{spansIn(cell)}</td>)}</tr>)}</tbody>
      </table>
    </div>
  );
}

function itemIn(item: readonly Block[]): ReactNode {
  const [first, ...rest] = item;
  return (
    <li>
      {first?.kind === "paragraph" ? spansIn(first.spans) : first && blockIn(first)}
      {blocksIn(rest)}
    </li>
  );
}

function spanIn(span: Span): ReactNode {
  if (span.kind === "text") return span.text;
  if (span.kind === "code") return <code>{span.text}</code>;
  if (span.kind === "strong") return <strong>{spansIn(span.spans)}</strong>;
  if (span.kind === "em") return <em>{spansIn(span.spans)}</em>;
  const target = targetOf(span.to);
  const words = spansIn(span.spans);
  if (target === null) return words;
  if ("out" in target)
    return (
      <a href={target.out} target="_blank" rel="noreferrer">
        {words}
      </a>
    );
  if ("page" in target)
    return (
      <Link to="/docs/$name" params={{ name: target.page }} {...(target.hash ? { hash: target.hash } : {})}>
        {words}
      </Link>
    );
  return <a href={`#${target.hash}`}>{words}</a>;
}
