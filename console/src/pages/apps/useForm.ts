/** A form of an app's settings while somebody fills it in. */
import { useState } from "react";
import { ApiError, type SettingsAnswer } from "../../api/client";
import { type Drafts, draftOf, placeOf, valuesOf, type Wrong } from "./drafts";

export function useForm(answer: SettingsAnswer) {
  const [drafts, setDrafts] = useState<Drafts>(() => Object.fromEntries(answer.form.map((one) => [one.name, draftOf(one, answer.values[one.name] ?? one.default)])));
  const [gone, setGone] = useState<string[]>([]);
  const [wrong, setWrong] = useState<readonly Wrong[]>([]);
  return {
    fields: { form: answer.form, drafts, wrong, filled: answer.secrets, gone, onGone: setGone, onChange: setDrafts },
    wrong,
    /** What is to be sent; null where something does not fit, which is shown then. */
    check(): Record<string, unknown> | null {
      const found = valuesOf(answer.form, drafts, answer.secrets, gone);
      setWrong(found.wrong);
      return found.wrong.length > 0 ? null : found.values;
    },
    /** Puts a refusal at its fields; false where it belongs to none. */
    refused(error: unknown): boolean {
      if (!(error instanceof ApiError)) return false;
      const messages = error.errors && error.errors.length > 0 ? error.errors.map((one) => one.message) : [error.message];
      const places = messages.map(placeOf).filter((one) => one !== null);
      setWrong(places);
      return places.length === messages.length;
    },
    reset() {
      setWrong([]);
      setGone([]);
    },
  };
}
