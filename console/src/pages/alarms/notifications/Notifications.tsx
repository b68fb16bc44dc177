/** Who hears of alarms: who is on call, whether a channel reaches somebody, and what was told to whom.
 *
 *     roster ─► who is on call          channel, contact ─► a test          log ─► one message as it was sent ─► its alarm
 */
import { useSession } from "../../../app/session";
import styles from "./notifications.module.css";
import { OnCall } from "./OnCall";
import { SendTest } from "./SendTest";
import { Told } from "./Told";

export function Notifications() {
  const { may } = useSession();
  return (
    <div className={styles.page}>
      <div className={styles.pair}>
        <OnCall />
        {may("configure") && <SendTest />}
      </div>
      <Told />
    </div>
  );
}
