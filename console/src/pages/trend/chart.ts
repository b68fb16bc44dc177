/** The drawing of a trend with uPlot: mean lines on their min/max bands, one axis a unit, hatching where all was bad. */
import uPlot from "uplot";
import { formatNumber } from "../../format/number";
import { clock, date } from "../../format/time";
import { type Pen, bridged, type Window, pan, zoom } from "./view";

export interface PenStyle {
  path: string;
  unit: string;
  /** Engineering range, so that noise is not drawn as a mountain. */
  range: { low: number; high: number } | null;
  /** 1 to 8: colour and dash. */
  number: number;
}

export const DASHES: readonly (number[] | undefined)[] = [undefined, [8, 4], [2, 3], [10, 3, 2, 3], undefined, [5, 3], [2, 5], [12, 4]];
const AXES_MAX = 4;
/** An axis spans at least this share of the engineering range. */
const SPAN_SHARE_MIN = 0.02;
const BRIDGE_BUCKETS = 40;

export interface ChartCallbacks {
  onView(view: Window): void;
  onCursor(index: number | null): void;
}

const css = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const faded = (colour: string, share: number) => `color-mix(in srgb, ${colour} ${share * 100}%, transparent)`;

export class TrendChart {
  private readonly plot: uPlot;
  private pens: readonly Pen[] = [];
  private readonly cleanups: (() => void)[] = [];

  constructor(
    host: HTMLElement,
    private readonly styles: readonly PenStyle[],
    private view: Window,
    private readonly callbacks: ChartCallbacks,
  ) {
    const units = [...new Set(styles.map((style) => style.unit))];
    const [ink, line, font] = [css("--ink-3"), css("--line"), `12px ${css("--font")}`];
    const scales: uPlot.Scales = { x: { time: true, auto: false, range: () => [this.view.from / 1000, this.view.to / 1000] } };
    for (const unit of units) {
      const spanMin = Math.min(...styles.filter((style) => style.unit === unit).map(({ range }) => (range ? (range.high - range.low) * SPAN_SHARE_MIN : 0)));
      scales[`u:${unit}`] = {
        range: (_, min, max) => {
          if (min === null || max === null || !Number.isFinite(min)) return [0, 1];
          const missing = Math.max(0, spanMin - (max - min)) / 2;
          return uPlot.rangeNum(min - missing, max + missing, { min: { pad: 0.08 }, max: { pad: 0.08 } });
        },
      };
    }
    const narrow = host.clientWidth < 600;
    const series: uPlot.Series[] = [{}];
    const bands: uPlot.Band[] = [];
    for (const style of styles) {
      const colour = css(`--pen-${style.number}`);
      const scale = `u:${style.unit}`;
      const at = series.length;
      series.push({ scale, stroke: colour, width: 1.5, points: { show: false }, ...(DASHES[style.number - 1] ? { dash: DASHES[style.number - 1] as number[] } : {}) });
      series.push({ scale, stroke: "transparent", width: 0, points: { show: false } });
      series.push({ scale, stroke: "transparent", width: 0, points: { show: false } });
      bands.push({ series: [at + 2, at + 1], fill: faded(colour, 0.14) });
    }
    const axes: uPlot.Axis[] = [
      { stroke: ink, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, size: 54, space: 90, values: (_, splits) => timeLabels(splits, this.view) },
      ...units.slice(0, narrow ? 1 : AXES_MAX).map((unit, index): uPlot.Axis => ({
        scale: `u:${unit}`,
        side: index % 2 === 0 ? 3 : 1,
        stroke: ink,
        font,
        size: 58,
        label: unit,
        labelFont: font,
        labelSize: 18,
        grid: { show: index === 0, stroke: line, width: 1 },
        ticks: { stroke: line, width: 1 },
        values: (_, splits) => evenly(splits),
      })),
    ];
    this.plot = new uPlot(
      {
        width: Math.max(200, host.clientWidth),
        height: Math.max(160, host.clientHeight),
        series,
        bands,
        scales,
        axes,
        legend: { show: false },
        cursor: { drag: { x: false, y: false, setScale: false }, points: { size: 6 } },
        hooks: {
          drawClear: [(u) => this.hatch(u)],
          setCursor: [(u) => callbacks.onCursor(u.cursor.idx ?? null)],
        },
      },
      [[], ...series.slice(1).map(() => [])] as uPlot.AlignedData,
      host,
    );
    this.listen(host);
  }

  setData(times: number[], pens: readonly Pen[]): void {
    this.pens = this.styles.map((style) => pens.find((pen) => pen.path === style.path) ?? { path: style.path, mean: [], min: [], max: [], bad: [] });
    const columns = this.pens.flatMap((pen) => [bridged(pen.mean, pen.bad, BRIDGE_BUCKETS), bridged(pen.min, pen.bad, BRIDGE_BUCKETS), bridged(pen.max, pen.bad, BRIDGE_BUCKETS)]);
    this.plot.setData([times, ...columns] as uPlot.AlignedData, true);
  }

  setView(view: Window): void {
    this.view = view;
    this.plot.redraw(false, true);
    this.plot.setScale("x", { min: view.from / 1000, max: view.to / 1000 });
  }

  destroy(): void {
    for (const cleanup of this.cleanups) cleanup();
    this.plot.destroy();
  }

  /** Stripes where samples came and none was good, so that a hole has a reason. */
  private hatch(u: uPlot): void {
    const times = u.data[0];
    if (times.length < 2) return;
    const half = ((times[1] ?? 0) - (times[0] ?? 0)) / 2;
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    let any = false;
    for (const pen of this.pens) {
      for (let i = 0; i < pen.bad.length; i += 1) {
        if (!pen.bad[i]) continue;
        let k = i;
        while (pen.bad[k + 1]) k += 1;
        const left = u.valToPos((times[i] ?? 0) - half, "x", true);
        const right = u.valToPos((times[k] ?? 0) + half, "x", true);
        ctx.rect(Math.max(bbox.left, left), bbox.top, Math.max(1, Math.min(bbox.left + bbox.width, right) - Math.max(bbox.left, left)), bbox.height);
        any = true;
        i = k;
      }
    }
    if (any) {
      ctx.clip();
      ctx.strokeStyle = css("--hatch");
      ctx.lineWidth = 2 * devicePixelRatio;
      ctx.beginPath();
      const step = 9 * devicePixelRatio;
      for (let x = bbox.left - bbox.height; x < bbox.left + bbox.width; x += step) {
        ctx.moveTo(x, bbox.top + bbox.height);
        ctx.lineTo(x + bbox.height, bbox.top);
      }
      ctx.stroke();
    }
    ctx.restore();
  }

  /** Wheel and pinch zoom around the pointer, drag pans. */
  private listen(host: HTMLElement): void {
    const over = this.plot.over;
    over.style.touchAction = "pan-y";
    over.style.cursor = "grab";
    const at = (clientX: number) => {
      const box = over.getBoundingClientRect();
      return this.view.from + ((clientX - box.left) / Math.max(1, box.width)) * (this.view.to - this.view.from);
    };
    const pointers = new Map<number, number>();
    let lastX = 0;
    let lastGap = 0;
    const gap = () => {
      const [a = 0, b = 0] = [...pointers.values()];
      return Math.max(10, Math.abs(a - b));
    };
    const on = <K extends keyof HTMLElementEventMap>(name: K, run: (event: HTMLElementEventMap[K]) => void) => {
      over.addEventListener(name, run, { passive: false });
      this.cleanups.push(() => over.removeEventListener(name, run));
    };
    on("wheel", (event) => {
      event.preventDefault();
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.callbacks.onView(pan(this.view, event.deltaX / over.clientWidth));
      else this.callbacks.onView(zoom(this.view, Math.exp(Math.max(-240, Math.min(240, event.deltaY)) / 400), at(event.clientX)));
    });
    on("pointerdown", (event) => {
      pointers.set(event.pointerId, event.clientX);
      over.setPointerCapture(event.pointerId);
      lastX = event.clientX;
      lastGap = gap();
      over.style.cursor = "grabbing";
    });
    on("pointermove", (event) => {
      if (!pointers.has(event.pointerId)) return;
      pointers.set(event.pointerId, event.clientX);
      if (pointers.size === 2) {
        const [a = 0, b = 0] = [...pointers.values()];
        const now = gap();
        this.callbacks.onView(zoom(this.view, lastGap / now, at((a + b) / 2)));
        lastGap = now;
      } else if (pointers.size === 1) {
        const moved = lastX - event.clientX;
        if (Math.abs(moved) < 1) return;
        lastX = event.clientX;
        this.callbacks.onView(pan(this.view, moved / over.clientWidth));
      }
    });
    const release = (event: PointerEvent) => {
      pointers.delete(event.pointerId);
      lastX = [...pointers.values()][0] ?? 0;
      over.style.cursor = "grab";
    };
    on("pointerup", release);
    on("pointercancel", release);
    const resize = new ResizeObserver(() => this.plot.setSize({ width: Math.max(200, host.clientWidth), height: Math.max(160, host.clientHeight) }));
    resize.observe(host);
    this.cleanups.push(() => resize.disconnect());
  }
}

/** All labels of an axis with the same decimals, as few as tell them apart. */
function evenly(splits: readonly number[]): string[] {
  const decimals = Math.max(0, ...splits.map((value) => (String(Number(value.toPrecision(10))).split(".")[1] ?? "").length));
  return splits.map((value) => formatNumber(value, Math.min(9, decimals)));
}

/** The day under the first label and under each change of day; seconds only where they tell labels apart. */
function timeLabels(splits: readonly number[], view: Window): string[] {
  const step = splits.length > 1 ? (splits[1] ?? 0) - (splits[0] ?? 0) : 1;
  const wide = view.to - view.from > 2 * 86_400_000;
  let day = "";
  return splits.map((second) => {
    const ms = Math.round(second * 1000);
    const today = date(ms);
    const time = step < 1 ? clock(ms, true).slice(3) : step < 60 ? clock(ms) : clock(ms).slice(0, 5);
    const first = today !== day;
    day = today;
    if (step >= 86_400) return step >= 28 * 86_400 ? today.slice(0, 7) : today.slice(5);
    return first || (wide && step >= 43_200) ? `${time}\n${today.slice(5)}` : time;
  });
}
