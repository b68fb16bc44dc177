/** A page of an app in a sandbox of its own origin: it reaches no network and nothing of the console but what apps/frame.ts answers. */
import { Button, useComputedColorScheme } from "@mantine/core";
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { ApiError, type AppPageAnswer } from "../../api/client";
import { FrameHost, type Tone } from "../../apps/frame";
import { useSession } from "../../app/session";
import { useLanguage, useT, useTitle } from "../../i18n";
import { Problem } from "../../ui/Page";
import { useLatest } from "../../ui/useLatest";
import styles from "./apps.module.css";
import { Later } from "./Later";

const SILENT_MS = 15_000;
const NOTICE_MS = 6_000;

export function Frame({ page }: { page: AppPageAnswer }) {
  const t = useT();
  const title = useTitle();
  const language = useLanguage();
  const scheme = useComputedColorScheme("light");
  const { user } = useSession();
  const frame = useRef<HTMLIFrameElement>(null);
  const host = useRef<FrameHost>(null);
  const [begun, setBegun] = useState(false);
  const [silent, setSilent] = useState(false);
  const [round, setRound] = useState(0);
  const [height, setHeight] = useState(0);
  const [notice, setNotice] = useState<{ text: string; tone: Tone } | null>(null);
  // A page that is open changes its language by itself: what is half typed in it stays.
  const [address] = useState(() => `${page.frame ?? ""}?language=${language}`);
  const around = { app: page.app, user, language, scheme, onHeight: setHeight, onNotice: (text: string, tone: Tone) => setNotice({ text, tone }), refusals: { busy: t("frame.busy"), tooLarge: t("frame.tooLarge") } };
  const latest = useLatest(around);

  // Before the frame can say hello.
  useLayoutEffect(() => {
    if (!frame.current) return;
    host.current = new FrameHost(frame.current, latest.current, () => {
      setBegun(true);
      setSilent(false);
    });
    const timer = setTimeout(() => setSilent(true), SILENT_MS);
    return () => {
      clearTimeout(timer);
      host.current?.end();
    };
  }, [latest, round]);
  useEffect(() => host.current?.update(latest.current), [language, scheme, latest]);
  useEffect(() => {
    if (notice === null) return;
    const timer = setTimeout(() => setNotice(null), NOTICE_MS);
    return () => clearTimeout(timer);
  }, [notice]);

  const name = title(page.title, page.name);
  return (
    <div className={styles.framed}>
      <h1 className="unseen">{name}</h1>
      <Later app={page.app} />
      {silent && !begun && (
        <div className={styles.silent}>
          <Problem error={new ApiError(503, "unavailable", t("frame.silent"))} />
          <Button
            size="xs"
            variant="default"
            onClick={() => {
              setSilent(false);
              setRound(round + 1);
            }}
          >
            {t("action.retry")}
          </Button>
        </div>
      )}
      <p role={notice?.tone === "wrong" ? "alert" : "status"} className={styles.notice} data-tone={notice?.tone}>
        {notice?.text}
      </p>
      <iframe key={round} ref={frame} className={styles.frame} src={address} title={name} sandbox="allow-scripts" style={{ minHeight: height }} />
    </div>
  );
}
