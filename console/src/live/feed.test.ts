import { describe, expect, it, vi } from "vitest";
import { LiveFeed, type FeedMessage } from "./feed";

class FakeSocket {
  readyState = 0;
  sent: { subscribe: string[] }[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  send(text: string) { this.sent.push(JSON.parse(text) as { subscribe: string[] }); }
  close() { this.readyState = 3; this.onclose?.({ code: 1000 }); }
  accept() { this.readyState = 1; this.onopen?.(); }
  say(message: FeedMessage) { this.onmessage?.({ data: JSON.stringify(message) }); }
}

function rig() {
  const sockets: FakeSocket[] = [];
  const frames: (() => void)[] = [];
  const timers: { run: () => void; ms: number; live: boolean }[] = [];
  const feed = new LiveFeed({
    open: () => { const s = new FakeSocket(); sockets.push(s); return s as unknown as WebSocket; },
    frame: (run) => void frames.push(run),
    later: (run, ms) => { const timer = { run, ms, live: true }; timers.push(timer); return () => { timer.live = false; }; },
    random: () => 0.5,
  });
  return {
    feed, sockets, timers,
    draw: () => { for (const run of frames.splice(0)) run(); },
    wait: () => { for (const timer of timers.splice(0)) if (timer.live) timer.run(); },
    last: () => sockets.at(-1) as FakeSocket,
  };
}

const changes = (i: number[], v: number[]): FeedMessage =>
  ({ type: "changes", time_ms: Date.now(), i, v, t: v.map(() => 1), q: v.map(() => 0) });

describe("the live feed", () => {
  it("asks once for what many components watch", () => {
    const r = rig();
    r.feed.start();
    r.last().accept();
    for (const path of ["a", "b", "c"]) r.feed.watch(path, () => {});
    r.wait();
    expect(r.last().sent.at(-1)?.subscribe).toEqual(["a", "b", "c"]);
    expect(r.last().sent).toHaveLength(2);
  });

  it("wakes only the cells whose point changed, once a frame", () => {
    const r = rig();
    const [a, b] = [vi.fn(), vi.fn()];
    r.feed.watch("a", a);
    r.feed.watch("b", b);
    r.feed.start();
    r.last().accept();
    r.last().say({ type: "points", paths: ["a", "b"] });
    r.last().say(changes([0], [1]));
    r.last().say(changes([0], [2]));
    expect(a).not.toHaveBeenCalled();
    r.draw();
    expect(a).toHaveBeenCalledTimes(1);
    expect(b).not.toHaveBeenCalled();
    expect(r.feed.get("a")?.value).toBe(2);
  });

  it("marks every value stale when it is lost, backs off, and comes back", () => {
    const r = rig();
    const a = vi.fn();
    r.feed.watch("a", a);
    r.feed.start();
    r.last().accept();
    r.last().say({ type: "points", paths: ["a"] });
    r.last().say(changes([0], [7]));
    r.draw();
    r.last().close();
    r.draw();
    expect(r.feed.state).toBe("lost");
    expect(r.feed.get("a")).toMatchObject({ value: 7, stale: true });
    r.wait();
    r.last().close();
    expect(r.timers.at(-1)?.ms).toBe(1000);
    r.wait();
    r.last().accept();
    expect(r.feed.state).toBe("open");
    expect(r.last().sent.at(-1)?.subscribe).toEqual(["a"]);
    expect(r.sockets).toHaveLength(3);
  });

  it("does not knock again where the session has ended", () => {
    const r = rig();
    r.feed.start();
    r.last().accept();
    r.last().onclose?.({ code: 4401 });
    expect(r.feed.state).toBe("denied");
    r.wait();
    expect(r.sockets).toHaveLength(1);
  });

  it("forgets points that nobody watches", () => {
    const r = rig();
    const leave = r.feed.watch("a", () => {});
    r.feed.start();
    r.last().accept();
    r.last().say({ type: "points", paths: ["a"] });
    r.last().say(changes([0], [7]));
    leave();
    r.wait();
    expect(r.feed.get("a")).toBeUndefined();
    expect(r.last().sent.at(-1)?.subscribe).toEqual([]);
  });
});
