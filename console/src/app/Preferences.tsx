/** Language and theme, the same in the user menu and on the sign-in page. */
import { Menu, SegmentedControl, useMantineColorScheme, type MantineColorScheme } from "@mantine/core";
import { LANGUAGES, setLanguage, useLanguage, useT, type Language } from "../i18n";
import { Icon } from "../ui/Icon";

const SCHEMES: readonly MantineColorScheme[] = ["light", "dark", "auto"];

export function LanguageItems() {
  const language = useLanguage();
  return LANGUAGES.map(({ code, name }) => (
    <Menu.Item key={code} lang={code} onClick={() => setLanguage(code)} rightSection={code === language ? <Icon name="check" size={16} /> : null}>
      {name}
    </Menu.Item>
  ));
}

export function SchemeItems() {
  const t = useT();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return SCHEMES.map((scheme) => (
    <Menu.Item key={scheme} onClick={() => setColorScheme(scheme)} rightSection={scheme === colorScheme ? <Icon name="check" size={16} /> : null}>
      {t(`scheme.${scheme}`)}
    </Menu.Item>
  ));
}

export function PreferencesBar() {
  const t = useT();
  const language = useLanguage();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <div style={{ display: "flex", gap: 12, flexWrap: "wrap", justifyContent: "center" }}>
      <SegmentedControl
        size="xs"
        aria-label={t("shell.language")}
        value={language}
        onChange={(value) => setLanguage(value as Language)}
        data={LANGUAGES.map(({ code, name }) => ({ value: code, label: name }))}
      />
      <SegmentedControl
        size="xs"
        aria-label={t("shell.scheme")}
        value={colorScheme}
        onChange={(value) => setColorScheme(value as MantineColorScheme)}
        data={SCHEMES.map((scheme) => ({ value: scheme, label: t(`scheme.${scheme}`) }))}
      />
    </div>
  );
}
