/** A file as the body of a request, with how much of it is sent: fetch does not tell that. */
import { ApiError, marks } from "../api/client";

/** `onShare`: 0 to 1. Throws an ApiError: status 0 where nobody answers. */
export function upload<T>(address: string, file: Blob, onShare: (share: number) => void): Promise<T> {
  return new Promise((done, wrong) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    for (const [name, value] of Object.entries(marks())) request.setRequestHeader(name, value);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => onShare(event.lengthComputable && event.total > 0 ? event.loaded / event.total : 0);
    request.upload.onload = () => onShare(1);
    request.onerror = () => wrong(new ApiError(0, "unreachable", ""));
    request.onload = () => {
      const answer: unknown = parsed(request.responseText);
      if (request.status >= 200 && request.status < 300) return done(answer as T);
      const error = (answer as { error?: { code?: string; message?: string; hint?: string } } | null)?.error;
      return wrong(new ApiError(request.status, error?.code ?? `http-${request.status}`, error?.message ?? request.statusText, error?.hint));
    };
    request.send(file);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
