/** Buttons that go somewhere: real links, so they open in a new tab and are preloaded. */
import { ActionIcon, type ActionIconProps, Button, type ButtonProps } from "@mantine/core";
import { createLink, Link } from "@tanstack/react-router";
import { type Language, useLanguage, useT } from "../i18n";
import { Icon } from "./Icon";
import { type AnchorHTMLAttributes, forwardRef } from "react";
import styles from "./parts.module.css";

type Anchor = Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof ButtonProps>;

export const ButtonLink = createLink(forwardRef<HTMLAnchorElement, ButtonProps & Anchor>((props, ref) => <Button component="a" ref={ref} {...props} />));

export const IconLink = createLink(
  forwardRef<HTMLAnchorElement, ActionIconProps & Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof ActionIconProps>>((props, ref) => (
    <ActionIcon component="a" ref={ref} {...props} />
  )),
);

/** To a page of the documents, which the platform has with it: how what is seen here is declared and read. */
export function DocLink({ name, hash }: { name: string; hash?: Readonly<Record<Language, string>> }) {
  const t = useT();
  const language = useLanguage();
  return (
    <Link to="/docs/$name" params={{ name }} {...(hash ? { hash: hash[language] } : {})} className={styles.doc}>
      <Icon name="file" size={14} /> {t("docs.how")}
    </Link>
  );
}
