import { Modal } from "@mantine/core";
import { useT } from "../i18n";
import { PasswordForm } from "./PasswordForm";

export function PasswordDialog({ onClose }: { onClose: () => void }) {
  const t = useT();
  return (
    <Modal opened onClose={onClose} title={t("password.change")} closeButtonProps={{ "aria-label": t("action.close") }}>
      <PasswordForm onDone={onClose} />
    </Modal>
  );
}
