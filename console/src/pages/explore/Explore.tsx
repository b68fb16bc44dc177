/** The tree of assets beside the asset that is open; on a phone one at a time. */
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { assetsQuery } from "../../api/queries";
import { useT } from "../../i18n";
import { Empty, Problem } from "../../ui/Page";
import { usePhone } from "../../ui/usePhone";
import { AssetPage } from "./AssetPage";
import styles from "./explore.module.css";
import { PointDrawer } from "./PointDrawer";
import { Tree } from "./Tree";

export function Explore() {
  const t = useT();
  const { _splat: path = "" } = useParams({ from: "/shell/explore/$" });
  const navigate = useNavigate();
  const phone = usePhone();
  const { data: assets, error } = useQuery(assetsQuery);
  const asset = assets?.find((one) => one.path === path);
  const open = (next: string) => void navigate({ to: "/explore/$", params: { _splat: next } });
  const showTree = !phone || path === "";
  return (
    <div className={styles.explore} data-one={phone}>
      {showTree && <Tree assets={assets ?? []} chosen={path} onChoose={open} />}
      {(!phone || path !== "") && (
        <div className={styles.detail}>
          <Problem error={error} />
          {asset ? <AssetPage key={path} asset={asset} assets={assets ?? []} /> : <Empty>{assets && path !== "" ? t("explore.missing", { path }) : t("explore.choose")}</Empty>}
        </div>
      )}
      <PointDrawer />
    </div>
  );
}
