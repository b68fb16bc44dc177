/** The component library in our greys: every colour it uses is one of tokens.css. */
import { type CSSVariablesResolver, createTheme, defaultVariantColorsResolver, type MantineColorsTuple } from "@mantine/core";

const slate: MantineColorsTuple = [
  "#eef3f8", "#dbe5ee", "#b7cade", "#8fafcd", "#6b96bd", "#4a7dab", "#2f6699", "#1c4e80", "#173f68", "#102c4a",
];

export const theme = createTheme({
  fontFamily: "var(--font)",
  fontFamilyMonospace: "var(--font-code)",
  headings: { fontFamily: "var(--font)", fontWeight: "600" },
  primaryColor: "slate",
  // The library writes white on any filled colour; our accent is light in the dark theme.
  variantColorResolver: (input) => {
    const colours = defaultVariantColorsResolver(input);
    return input.variant === "filled" ? { ...colours, color: "var(--accent-ink)", hoverColor: "var(--accent-ink)" } : colours;
  },
  primaryShade: { light: 7, dark: 3 },
  colors: { slate },
  defaultRadius: 3,
  fontSizes: { xs: "12px", sm: "13px", md: "14px", lg: "16px", xl: "20px" },
  cursorType: "pointer",
  focusRing: "auto",
  respectReducedMotion: true,
  components: {
    Button: { defaultProps: { size: "sm" } },
    TextInput: { defaultProps: { size: "sm" } },
    PasswordInput: { defaultProps: { size: "sm" } },
    Select: { defaultProps: { size: "sm", comboboxProps: { shadow: "none" }, allowDeselect: false } },
    Modal: { defaultProps: { centered: true, overlayProps: { backgroundOpacity: 0.35 }, transitionProps: { duration: 80 } } },
    Drawer: { defaultProps: { overlayProps: { backgroundOpacity: 0.2 }, transitionProps: { duration: 100 } } },
    Tooltip: { defaultProps: { openDelay: 300, withArrow: false } },
  },
});

const shared = {
  "--mantine-color-body": "var(--panel)",
  "--mantine-color-text": "var(--ink)",
  "--mantine-color-dimmed": "var(--ink-3)",
  "--mantine-color-placeholder": "var(--ink-3)",
  "--mantine-color-default": "var(--raised)",
  "--mantine-color-default-hover": "var(--hover)",
  "--mantine-color-default-color": "var(--ink)",
  "--mantine-color-default-border": "var(--line-strong)",
  "--mantine-color-disabled": "var(--hover)",
  "--mantine-color-disabled-color": "var(--ink-3)",
  "--mantine-color-disabled-border": "var(--line)",
  "--mantine-color-error": "var(--danger)",
  "--mantine-color-anchor": "var(--accent)",
  "--mantine-primary-color-filled": "var(--accent)",
  "--mantine-primary-color-filled-hover": "var(--accent)",
  "--mantine-primary-color-contrast": "var(--accent-ink)",
  "--mantine-color-slate-filled": "var(--accent)",
  "--mantine-color-slate-filled-hover": "var(--accent)",
  "--mantine-color-slate-contrast": "var(--accent-ink)",
  "--mantine-color-slate-light": "var(--hover)",
  "--mantine-color-slate-light-hover": "var(--chosen)",
  "--mantine-color-slate-light-color": "var(--ink)",
  "--mantine-color-slate-outline": "var(--accent)",
};

export const variables: CSSVariablesResolver = () => ({ variables: shared, light: shared, dark: shared });
