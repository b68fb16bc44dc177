/** What an app may do, in words. */
import type { PermissionsAnswer } from "../../api/client";
import { useT } from "../../i18n";
import { Icon } from "../../ui/Icon";
import styles from "./apps.module.css";
import { type GrantKey, grantsOf } from "./grants";

const PLACES: ReadonlySet<GrantKey> = new Set(["assets", "read", "write"]);

interface GrantsProps {
  asked: PermissionsAnswer;
  before?: PermissionsAnswer | null;
  memoryMb: number;
  callS: number;
}

export function Grants({ asked, before = null, memoryMb, callS }: GrantsProps) {
  const t = useT();
  const place = (key: GrantKey, text: string) => {
    if (!PLACES.has(key)) return text;
    if (text === "**") return t("apps.grant.everything");
    return /[*]/.test(text) || key !== "assets" ? text : t("apps.grant.below", { place: text });
  };
  return (
    <ul className={styles.grants}>
      {grantsOf(asked, before).map(({ key, places, mb, added, weighty }) => (
        <li key={key} data-weighty={weighty} data-added={added}>
          <span className={styles.grantHead}>
            <Icon name={weighty ? "write" : "check"} size={16} />
            <strong>{t(`apps.grant.${key}`, { n: mb })}</strong>
            {added && <em className={styles.new}>{t("apps.new")}</em>}
          </span>
          {places.length > 0 && (
            <ul className={styles.places}>
              {places.map((one) => (
                <li key={one.text}>
                  <code>{place(key, one.text)}</code>
                  {one.added && <em className={styles.new}>{t("apps.new")}</em>}
                </li>
              ))}
            </ul>
          )}
          {weighty && <p>{t("apps.grant.care")}</p>}
        </li>
      ))}
      <li>
        <span className={styles.grantHead}>
          <Icon name="check" size={16} />
          <span>{t("apps.grant.process", { mb: memoryMb, s: callS })}</span>
        </span>
      </li>
    </ul>
  );
}
