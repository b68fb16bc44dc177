/** An editor of YAML or Python: line numbers, folding, our errors in the margin. Tab leaves it, as WCAG 2.1.2 asks. */
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, foldGutter, HighlightStyle, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic, lintGutter, setDiagnostics } from "@codemirror/lint";
import { Annotation, EditorState } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "react";
import type { DeclarationError } from "../../api/client";
import { useLatest } from "../../ui/useLatest";
import type { Place } from "./Engineering";
import styles from "./engineering.module.css";

const look = EditorView.theme({
  "&": { height: "100%", fontSize: "13px", backgroundColor: "transparent", color: "var(--ink)" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--font-code)", lineHeight: "1.55" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--ink-3)", border: "none" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--hover) 55%, transparent)" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--chosen)" },
  ".cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--ink)", border: "1px solid var(--line-strong)" },
});

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--live)" },
  { tag: [tags.comment, tags.lineComment], color: "var(--ink-3)" },
  { tag: [tags.punctuation, tags.separator, tags.bracket], color: "var(--ink-3)" },
]);

/** Text that was handed in, not typed. */
const fromOutside = Annotation.define<boolean>();

interface EditorProps {
  name: string;
  language?: "yaml" | "python";
  text: string;
  readOnly: boolean;
  errors: readonly DeclarationError[];
  place: Place | null;
  onChange: (text: string) => void;
}

export function Editor({ name, language = "yaml", text, readOnly, errors, place, onChange }: EditorProps) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const changed = useLatest(onChange);
  useEffect(() => {
    if (!host.current) return undefined;
    const made = new EditorView({
      parent: host.current,
      state: EditorState.create({
        doc: text,
        extensions: [
          lineNumbers(),
          foldGutter(),
          lintGutter(),
          history(),
          drawSelection(),
          bracketMatching(),
          highlightActiveLine(),
          // Python stays without colours: a grammar of it weighs more than short sources are worth.
          ...(language === "yaml" ? [indentUnit.of("  "), yaml()] : [indentUnit.of("    ")]),
          syntaxHighlighting(colours),
          look,
          keymap.of([...defaultKeymap, ...historyKeymap]),
          EditorState.readOnly.of(readOnly),
          EditorView.contentAttributes.of({ "aria-label": name, tabindex: "0" }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged && !update.transactions.some((one) => one.annotation(fromOutside))) changed.current(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = made;
    return () => {
      view.current = null;
      made.destroy();
    };
    // The editor owns its text; it is made anew for another file only.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [name, language, readOnly]);
  useEffect(() => {
    const editor = view.current;
    if (editor && editor.state.doc.toString() !== text) editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: text }, annotations: fromOutside.of(true) });
  }, [text]);
  useEffect(() => {
    const editor = view.current;
    if (!editor) return;
    const diagnostics: Diagnostic[] = errors.map((error) => {
      const line = editor.state.doc.line(Math.max(1, Math.min(error.line ?? 1, editor.state.doc.lines)));
      const from = Math.min(line.to, line.from + Math.max(0, (error.column ?? 1) - 1));
      return { from, to: line.to, severity: "error", message: error.message };
    });
    editor.dispatch(setDiagnostics(editor.state, diagnostics));
  }, [errors]);
  useEffect(() => {
    const editor = view.current;
    if (!editor || !place) return;
    const line = editor.state.doc.line(Math.max(1, Math.min(place.line, editor.state.doc.lines)));
    const at = Math.min(line.to, line.from + place.column - 1);
    editor.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: "center" }) });
    editor.focus();
  }, [place, name]);
  return <div ref={host} className={styles.editor} />;
}
