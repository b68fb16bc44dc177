/** Who may come in: people, and the programs that hold a token. Secrets are shown once, when they are made. An officer who
 * does not administer sees the people alone. */
import { useSession } from "../../app/session";
import systemStyles from "../system/system.module.css";
import { People } from "./People";
import { Tokens } from "./Tokens";

export function Access() {
  const { mayEverywhere } = useSession();
  return (
    <div className={systemStyles.runtime}>
      <People />
      {mayEverywhere("administer") && <Tokens />}
    </div>
  );
}
