/** Buttons that go somewhere: real links, so they open in a new tab and are preloaded. */
import { ActionIcon, type ActionIconProps, Button, type ButtonProps } from "@mantine/core";
import { createLink } from "@tanstack/react-router";
import { type AnchorHTMLAttributes, forwardRef } from "react";

type Anchor = Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof ButtonProps>;

export const ButtonLink = createLink(forwardRef<HTMLAnchorElement, ButtonProps & Anchor>((props, ref) => <Button component="a" ref={ref} {...props} />));

export const IconLink = createLink(
  forwardRef<HTMLAnchorElement, ActionIconProps & Omit<AnchorHTMLAttributes<HTMLAnchorElement>, keyof ActionIconProps>>((props, ref) => (
    <ActionIcon component="a" ref={ref} {...props} />
  )),
);
