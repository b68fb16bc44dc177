"""The words of docs/history.md in two languages; numbers come from the recorded run."""

# ruff: noqa: E501 - lines break where those of the pages do

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Language:
    page: str
    suffix: str
    intro: str
    sections: Mapping[str, tuple[str, str]]
    closing: str
    words: Mapping[str, str] = field(default_factory=dict)

    def say(self, text: str) -> str:
        """A phrase of a row in this language, longest known parts first."""
        for known in sorted(self.words, key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(known)}(?!\w)", self.words[known], text)
        return text


ENGLISH = Language(
    page="history.md",
    suffix="",
    intro="""# The historian in numbers

[中文](history.zh-CN.md)

Every number on this page comes from one run of `make bench NAME=history` on {date} ({machine}), with all peers in the
same run. The full set of this run was {samples}; the full set by default is 72 M samples: 10,000 points × 2 h at 1 Hz,
mixed kinds, 1 % late. This page is written by `make plots` from `bench/results/history.jsonl`.

## Targets

A target that was missed stays here as missed.""",
    sections={
        "ingest": (
            "Taking samples in",
            """Samples per second of CPU, in durable commits of 10,000. The work in the background until all is in its final form is
counted; making the samples and formatting them for a peer is not.""",
        ),
        "commit": (
            "What a commit waits",
            """Commits follow each other without a pause. Those during which a flush or a compaction was going on are told apart.""",
        ),
        "disk": (
            "On disk",
            """Roll-ups, index and catalog included. Of Parquet's two forms, by point and time or as the samples arrived, the smaller
one counts. InfluxDB's series files have a fixed part that weighs in a small set.""",
        ),
        "query": (
            "Asking",
            """CPU of a question, median of five or more after a warm-up; the axis is logarithmic. A time is told only where the answers
are equal: count, mean, smallest and largest number. "Fleet" is every numeric point.""",
        ),
        "shares": (
            "Asking the peers with the smaller set",
            """Headrace beside them on the same samples. The CPU is the server's alone, told in steps of 10 ms and so averaged over
many questions; formatting by their clients and HTTP on our side are not in it.""",
        ),
        "size": (
            "As the store grows",
            """One store of 10,000 points grows; at each size all is flushed, but hours in progress are not merged, as on any working
day. Questions span all that is there, so they grow with it; the cost of taking a sample in should not.""",
        ),
        "points": (
            "With more points",
            """The same number of samples spread over 100 to 100,000 points, each in a store of its own. 100 points have long chunks,
100,000 points have very short ones.""",
        ),
    },
    closing="""## How it is measured

- Each historian runs in a process of its own. Ours, DuckDB, Parquet, SQLite and chdb are libraries in that process;
  InfluxDB, VictoriaMetrics and IoTDB are servers on loopback, and the CPU is theirs.
- Headrace runs with the settings it ships with, on a clock that follows the samples, as in a live plant.
- DuckDB: a table a kind in its native file, a transaction a commit, a checkpoint at the end. SQLite: one table keyed by
  point and time, WAL, `synchronous=FULL`. chdb: MergeTree by point and time, synced inserts. Parquet: one file an hour;
  nothing is durable before the hour is over.
- InfluxDB and VictoriaMetrics are given less than they are compared with: no received time, bools as 0 and 1;
  VictoriaMetrics no text and no bad samples either, and it acknowledges before a sample is durable.
- IoTDB holds what Headrace holds, through the platform's own store for it, and is given a minute of all points at once:
  each point is a device there, and 10,000 of them take it seconds whatever the rows.
- The samples, their mix and how late they are: `bench/history/dataset.py`.

```sh
make bench NAME=history ARGS=--record      # 25 minutes on two quiet cores
make plots
```

Quick looks: `ARGS="--samples 3m"`, `ARGS="--part ingest"` (or `disk`, `query`, `curves`), `ARGS="--peers duckdb,sqlite"`.
A peer that is not installed is told and left out.""",
)

CHINESE = Language(
    page="history.zh-CN.md",
    suffix="-zh",
    intro="""# 历史库的数字

[English](history.md)

本页所有数字来自 {date} 的一次 `make bench NAME=history` 运行（{machine}），所有对照产品在同一次运行中测量。本次运行的完整数据集为
{samples}；默认的完整数据集为 7200 万样本：10,000 个点 × 2 小时，每秒一个样本，混合类型，1 % 迟到。本页由 `make plots` 根据
`bench/results/history.jsonl` 生成。

## 目标

没有达到的目标如实列为未达到。""",
    sections={
        "ingest": ("写入", """每 CPU 秒写入的样本数，每 10,000 个样本一次持久提交。后台工作直到数据成为最终形式都计算在内；
生成样本和为对照产品格式化样本不计算。"""),
        "commit": ("一次提交等待多久", """提交一次接一次，没有停顿。刷写或合并正在进行时的提交单独列出。"""),
        "disk": ("磁盘", """包含汇总、索引和目录。Parquet 有两种写法（按点和时间排序，或按到达顺序），取较小者。
InfluxDB 的序列文件有固定部分，在小数据集中占比较大。"""),
        "query": ("查询", """一次查询的 CPU 时间，预热后五次以上的中位数；坐标轴为对数。只有答案相同（个数、均值、最小值、最大值）才给出时间。
“全厂”指所有数值点。"""),
        "shares": ("较小数据集上的对照产品", """Headrace 与它们查询同样的样本。CPU 仅指服务器的 CPU，系统以 10 ms 为步长给出，因此对多次查询取平均；
客户端的格式化和我们一侧的 HTTP 不在其中。"""),
        "size": ("随着数据增长", """一个 10,000 点的库不断增长；在每个规模上全部刷写到磁盘，但进行中的小时尚未合并，与平常工作日一样。
查询覆盖全部数据，因此随之增长；写入一个样本的成本则不应增长。"""),
        "points": ("更多的点", """同样数量的样本分布在 100 到 100,000 个点上，每种情况使用单独的库。100 个点的数据块很长，100,000 个点的数据块很短。"""),
    },
    closing="""## 如何测量

- 每个历史库在自己的进程中运行。Headrace、DuckDB、Parquet、SQLite 和 chdb 是进程内的库；InfluxDB、VictoriaMetrics 和 IoTDB
  是本机回环地址上的服务器，CPU 指服务器的 CPU。
- Headrace 使用出厂设置，时钟跟随样本，与真实工厂一样。
- DuckDB：每种类型一张表，原生文件，每次提交一个事务，最后做检查点。SQLite：一张以点和时间为主键的表，WAL，`synchronous=FULL`。
  chdb：按点和时间排序的 MergeTree，同步写入。Parquet：每小时一个文件；小时结束之前没有持久性。
- InfluxDB 和 VictoriaMetrics 得到的数据比与之比较的少：没有接收时间，布尔值为 0 和 1；VictoriaMetrics 还没有文本和坏样本，
  并且在样本持久之前就确认。
- IoTDB 通过平台自己的 IoTDB 存储保存与 Headrace 相同的内容，每次提交包含所有点一分钟的数据：每个点在那里是一个设备，
  无论行数多少，10,000 个设备一次写入都要数秒。
- 样本、比例和迟到方式：`bench/history/dataset.py`。

```sh
make bench NAME=history ARGS=--record      # 25 minutes on two quiet cores
make plots
```

快速查看：`ARGS="--samples 3m"`、`ARGS="--part ingest"`（或 `disk`、`query`、`curves`）、`ARGS="--peers duckdb,sqlite"`。
没有安装的对照产品会被说明并略过。""",
    words={
        "ingest, samples per CPU second": "写入：每 CPU 秒样本数",
        "commit of 10,000 samples, ms on the wall clock": "提交 10,000 个样本的等待时间，毫秒",
        "bytes on disk a sample": "每个样本的磁盘字节数",
        "CPU of a question, ms": "一次查询的 CPU，毫秒",
        "target 2.5 M": "目标 250 万",
        "target 1.4 B": "目标 1.4 字节",
        "CPU as the store grows": "随数据增长的 CPU",
        "CPU with more points": "随点数增长的 CPU",
        "CPU a sample, or a question": "每个样本或每次查询的 CPU",
        "samples in the store": "库中样本数",
        "samples per CPU second": "每 CPU 秒样本数",
        "samples set": "数据集",
        "bytes a sample": "每样本字节数",
        "Headrace is": "Headrace 是其",
        "Headrace's CPU ×": "相对 Headrace 的 CPU",
        "CPU ms": "CPU 毫秒",
        "historian": "历史库",
        "question": "查询",
        "beside": "对照",
        "what": "项目",
        "measure": "测量项",
        "value": "值",
        "peer": "对照",
        "ratio": "比值",
        "target": "目标",
        "met": "达到",
        "yes": "是",
        "no": "否",
        "points": "点",
        "all": "全部提交",
        "no flush or compaction": "无刷写或合并",
        "flush or compaction": "刷写或合并",
        "one point, raw": "一个点的原始样本",
        "1 point in 500 buckets": "1 个点分 500 段",
        "50 points in 500 buckets": "50 个点分 500 段",
        "fleet average, one bucket": "全厂均值，每点一段",
        "fleet average by minutes of an hour": "全厂均值，一小时按分钟分段",
        "latest of 1,000 points": "1,000 个点的最新值",
        "M samples of it": "M 样本",
        "M samples": "M 样本",
        "ingest": "写入",
        "ingest of": "写入",
        "ingest beside": "写入，对照",
        "durable commits of 10,000": "每 10,000 个一次持久提交",
        "disk of": "磁盘：",
        "disk beside": "磁盘，对照",
        "with roll-ups": "含汇总",
        "commit, the worst of all runs under flush and compaction": "提交：刷写与合并期间所有运行中最慢的一次",
        "its own p95": "自身的 p95",
        "peak memory": "内存峰值",
        "open": "打开",
        "after a clean stop": "（正常停止之后）",
        "open after kill -9 with": "kill -9 之后打开，含",
        "acknowledged samples lost or doubled": "已确认的样本丢失或重复",
        "answers on the full set: different from a peer's": "个完整数据集上的答案：与对照产品不同",
        "answers": "个",
        "samples": "个",
    },
)  # fmt: skip
